"""Which kind of model a file holds, told by its content and not by its suffix.

Nothing of the file is executed: archives are listed, pickles are read opcode by opcode.
"""

import io
import pickletools
import re
import zipfile
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from autotune.errors import ModelError
from autotune.spec import ModelSpec

Kind = Literal["onnx", "exported", "aoti", "script", "pickled", "function"]
"""ONNX; of torch: a program of `torch.export`, a package of AOTInductor, TorchScript, a pickled
module, and a function that builds a module."""

FUNCTION = "package.module:function"

_TORCH_SUFFIXES = (".pt2", ".pt", ".pth", ".ts")
_ONNX_FIRST = 0x08
"""The tag of an ONNX model's first field, its IR version."""
_ORT_MAGIC = b"ORTM"
_LEGACY_PICKLES = 4
"""A file of `torch.save` before 1.6: magic number, protocol, machine, and then the object."""
_MOST_NAMES = 3
"""Names of a pickle that a complaint shows."""

_PLAIN = re.compile(
    r"""torch\.\w*Storage | torch\.storage\.(Untyped|Typed)Storage
    | torch\._utils\._rebuild_\w+ | torch\._tensor\._rebuild_from_type_v2
    | torch\.nn\.parameter\.(Parameter|Buffer) | torch\.(Size|device|Tensor)
    | torch\._export\.serde\.serialize\._reconstruct_fake_tensor
    | torch\.(bfloat16|bool|(float|u?int|complex)\d+)
    | collections\.(OrderedDict|defaultdict|Counter)
    | (builtins|__builtin__)\.(set|frozenset|slice|complex)
    | numpy(\._?core\.multiarray)?\.(dtype|ndarray|scalar|_reconstruct)
    | numpy\.dtypes\.\w+ | _codecs\.encode""",
    re.VERBOSE,
)
"""Names by which a pickle holds tensors, numbers and containers."""


def kind_of(spec: ModelSpec) -> Kind:
    """Return what the model is.

    Raises:
        ModelError: the file cannot be read, holds weights without an architecture, runs code when
            it is loaded and is not trusted to, or is something else.
    """
    if spec.function is not None:
        return "function"
    path = Path(spec.path)
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    return _of_archive(spec, archive)
            if head[:1] == b"\x80":
                file.seek(0)
                return _of_pickle(spec, _legacy_names(spec, file))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except zipfile.BadZipFile:
        raise ModelError(f"{path}: is a damaged archive") from None
    if head[:2] == b"PK":
        raise ModelError(f"{path}: is a truncated archive")
    if head[8:9] == b"{" and head[4:8] == b"\0\0\0\0":
        raise ModelError(_only_weights(spec.path, "a safetensors file"))
    onnx = head[:1] == bytes([_ONNX_FIRST]) or head[4:8] == _ORT_MAGIC
    if path.suffix in _TORCH_SUFFIXES and not onnx:
        raise ModelError(f"{path}: is no torch model (neither an archive nor a pickle)")
    return "onnx"  # Its runtime says what is wrong with it.


def names_in(pickle: BinaryIO | bytes) -> list[str]:
    """Return the Python names that loading a pickle would look up, without loading it.

    What cannot be told without executing it is `?`.

    Raises:
        ValueError: it is no pickle, or is truncated.
    """
    names: list[str] = []
    texts = _Texts()
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("GLOBAL", "INST"):
            names.append(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            names.append(".".join(texts.seen[-2:]) if len(texts.seen) >= 2 else "?")
        elif opcode.name.startswith("EXT"):
            names.append("?")
        texts.follow(opcode.name, argument)
    return names


class _Texts:
    """The texts that a pickle pushes, from newer protocols' memory too: they may be names."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._memory: dict[int, str] = {}
        self._last: str | None = None

    def follow(self, op: str, argument: object) -> None:
        if op in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"):
            place = len(self._memory) if op == "MEMOIZE" else int(str(argument))
            self._memory[place] = "?" if self._last is None else self._last
            return
        self._last = None
        if "UNICODE" in op or "STRING" in op:
            self._last = str(argument)
        elif op in ("BINGET", "LONG_BINGET", "GET"):
            self._last = self._memory.get(int(str(argument)), "?")
        if self._last is not None:
            self.seen.append(self._last)


def code_in(pickle: bytes) -> list[str]:
    """Return likewise the names beyond those of tensors and containers, of a `torch.save` file."""
    if zipfile.is_zipfile(io.BytesIO(pickle)):
        with zipfile.ZipFile(io.BytesIO(pickle)) as archive:
            pickle = _read(archive, "data.pkl")
    return _code(names_in(pickle))


def refuse_code(spec: ModelSpec, names: list[str], what: str) -> None:
    """Let a pickle pass that names no code, or is trusted.

    Raises:
        ModelError: it does and is not; the message is the safe way.
    """
    if not names or spec.trust_pickle:
        return
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    raise ModelError(
        f"{spec.path}: {what}: loading it runs code that the file names ({shown}). Save it with "
        f"torch.export.save, or name the function that builds it, {FUNCTION}; --trust-pickle "
        "loads it as it is"
    )


class _Member(NamedTuple):
    inner: str
    """The name without the archive's own folder."""
    whole: str


def _members(archive: zipfile.ZipFile) -> list[_Member]:
    return [_Member(name.partition("/")[2] or name, name) for name in archive.namelist()]


def _read(archive: zipfile.ZipFile, inner: str) -> bytes:
    return next((archive.read(m.whole) for m in _members(archive) if m.inner == inner), b"")


def _of_archive(spec: ModelSpec, archive: zipfile.ZipFile) -> Kind:
    members = [member.inner for member in _members(archive)]
    if any(re.fullmatch(r"models/.+\.json", name) for name in members):
        _check_program(spec, archive)
        return "exported"
    if any(name.startswith("data/aotinductor/") for name in members):
        return "aoti"
    if "constants.pkl" in members and any(name.startswith("code/") for name in members):
        return "script"
    if "data.pkl" in members:
        return _of_pickle(spec, names_in(_read(archive, "data.pkl")))
    if "serialized_exported_program.json" in archive.namelist():
        raise ModelError(
            f"{spec.path}: is an exported program of an old torch: load it there and save it anew "
            "with torch.export.save"
        )
    raise ModelError(f"{spec.path}: is a zip archive, but holds no model of torch's")


def _check_program(spec: ModelSpec, archive: zipfile.ZipFile) -> None:
    """Refuse code in the pickles that `torch.export.load` would execute."""
    for inner, whole in _members(archive):
        opaque = inner.startswith("data/constants/opaque_obj")
        # Weights and constants are raw bytes, or a file of `torch.save` where they have a class.
        if opaque or re.match(r"data/(sample_inputs|weights|constants)/", inner):
            data = archive.read(whole)
            if opaque or data[:1] == b"\x80" or data[:2] == b"PK":
                refuse_code(spec, _code_if_any(data), f"holds a pickle ({inner})")


def _code_if_any(data: bytes) -> list[str]:
    try:
        return code_in(data)
    except ValueError:  # Raw bytes that happen to begin like a pickle.
        return []


def _of_pickle(spec: ModelSpec, names: list[str]) -> Kind:
    code = _code(names)
    if not code:
        raise ModelError(_only_weights(spec.path, "a state dict or checkpoint"))
    refuse_code(spec, code, "is a pickled module")
    return "pickled"


def _code(names: list[str]) -> list[str]:
    code = {name for name in names if not _PLAIN.fullmatch(name)}
    return sorted(code, key=lambda name: (name.startswith("torch."), name))  # The person's first.


def _legacy_names(spec: ModelSpec, file: BinaryIO) -> list[str]:
    names: list[str] = []
    try:
        for _ in range(_LEGACY_PICKLES):
            names += names_in(file)
    except ValueError:
        if not names:
            raise ModelError(f"{spec.path}: is no torch model (a damaged pickle?)") from None
    return names


def _only_weights(path: str, what: str) -> str:
    return (
        f"{path}: holds only weights ({what}), and not the architecture that they belong to: "
        f"name the function that builds the module and loads them, {FUNCTION}"
    )
