import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from autotune.models.failures import lacked_memory  # noqa: E402
from autotune.models.loading import explain  # noqa: E402


def raised_by(call: object) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - what it is is the question
        call()  # type: ignore[operator]
    return raised.value


def test_torchs_own_errors_are_said_in_one_line() -> None:
    x, names = torch.rand(2, 3), torch.nn.Embedding(5, 2)
    halves = torch.rand(2, 3, dtype=torch.float64)
    cases = {
        "shapes cannot be multiplied": lambda: torch.mm(x, x),
        "types do not fit each other": lambda: torch.mm(x, halves.T),
        "must be int64, and not torch.FloatTensor": lambda: names(x),
        "channels-last forbids": lambda: (
            torch.rand(1, 2, 3, 3).contiguous(memory_format=torch.channels_last).view(18)
        ),
    }
    for message, call in cases.items():
        said = explain(raised_by(call))
        assert message in said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Could not run 'aten::_nope' with arguments from the 'CUDA' backend. This could be",
            "operator aten::_nope has no kernel for CUDA",
        ),
        (
            "\"addmm_impl_cpu_\" not implemented for 'Half'",
            "torch has no kernel addmm_impl_cpu_ for the type Half",
        ),
        (
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
            "there is no NVIDIA driver here",
        ),
        (
            "No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')",
            "compiling needs a C++ compiler: install g++, or name one in CXX",
        ),
    ],
)
def test_what_cannot_be_caused_here_is_known_by_its_words(text: str, said: str) -> None:
    assert explain(RuntimeError(text)) == said


def test_want_of_memory_is_known_before_and_after_it_is_explained() -> None:
    error = raised_by(lambda: torch.empty(1 << 60, dtype=torch.uint8))
    assert lacked_memory(error)
    said = explain(error)
    assert said == f"out of memory: {1 << 60} bytes more were needed"
    assert lacked_memory(RuntimeError(said))


def test_the_last_words_of_a_script_are_its_message() -> None:
    text = (
        "The following operation failed in the TorchScript interpreter.\n"
        "Traceback of TorchScript, serialized code (most recent call last):\n  File 1\n"
        "RuntimeError: expected 3 channels, but got 4\n"
    )
    assert explain(RuntimeError(text)) == "expected 3 channels, but got 4"
