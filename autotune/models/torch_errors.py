"""What errors of torch mean, in one line; torch itself is not needed to tell."""

import re

from autotune.models.kinds import FUNCTION
from autotune.tabular import printable

LONGEST = 300
"""Characters of torch's own words that still count as one line."""

_NEEDS_COMPILER = "needs a C++ compiler: install g++, or name one in CXX"

_CAUSES = (
    (r"Guard failed: (.+)", "the exported program does not allow this shape: it needs {0}"),
    (
        r"Could not run '(aten::\S+)' with arguments from the '(\w+)' backend",
        "operator {0} has no kernel for {1}",
    ),
    (
        r"The operator '(\S+)' is not currently implemented for the (\w+) device",
        "operator {0} has no kernel for {1}",
    ),
    (r"\"(\w+)\" not implemented for '(\w+)'", "torch has no kernel {0} for the type {1}"),
    (
        r"(?:CUDA|HIP) out of memory\. Tried to allocate ([\d.]+ \w+)",
        "the GPU is out of memory: {0} more were needed",
    ),
    (
        r"can't allocate memory: you tried to allocate (\d+) bytes",
        "out of memory: {0} bytes more were needed",
    ),
    (
        r"Torch not compiled with CUDA enabled",
        "this torch is built without CUDA: install one that has it, or take the CPU",
    ),
    (r"Found no NVIDIA driver", "there is no NVIDIA driver here"),
    (
        r"Input type \((\S+)\) and (?:bias|weight) type \((\S+)\) should be the same",
        "an input is {0} where the weights are {1}: say the input's type",
    ),
    (
        r"expected (?:m1 and m2|mat1 and mat2|scalar type) .*?(?:got|but found):? (.+)",
        "types do not fit each other ({0}): say the inputs' types",
    ),
    (
        r"must have the same dtype, but got:? (\w+) and (\w+)",
        "types do not fit each other ({0} and {1}): say the inputs' types",
    ),
    (
        r"'indices' to have one of the following scalar types: Long, Int; but got (\S+)",
        "an input holds indices, so it must be int64, and not {0}: say its type",
    ),
    (
        r"view size is not compatible with input tensor's size and stride",
        "it views a tensor as another shape, which channels-last forbids: use reshape, or keep "
        "the channels first",
    ),
    (r"No working C\+\+ compiler found|Compiler: \S+ is not found", "compiling " + _NEEDS_COMPILER),
    (
        r"Can't get attribute '(\w+)' on",
        "the class {0} that it was saved with is not here: name the function that builds it, "
        + FUNCTION,
    ),
)

_SCRIPT = "Traceback of TorchScript"


def explain_torch(error: BaseException) -> str | None:
    """Return what an error of torch means, in one line; None where torch's words say nothing."""
    text = str(error)
    for pattern, meaning in _CAUSES:
        if match := re.search(pattern, text):
            return shorten(meaning.format(*(group.rstrip(".") for group in match.groups())))
    if _SCRIPT in text:
        return shorten(re.split(r"\n[\w.]*Error: ", text)[-1])
    if type(error).__module__.startswith(("torch.", "torch._")):
        return shorten(_first_words(text))
    return None


def shorten(text: str) -> str:
    """Return a text in one line of bearable length."""
    text = printable(" ".join(text.split("Exception raised from")[0].split())[: LONGEST + 1])
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _first_words(text: str) -> str:
    """Dynamo and its friends go on with hints, links and the user's stack."""
    raised = re.sub(r"^backend='\w+' raised:\n", "", text)
    return re.split(r"\n\s*\n|\nExplanation:|\nfrom user code|\nSet TORCH", raised.strip())[0]
