"""Which file a model's name means: a path, or `package:file` inside an installed package."""

import hashlib
import importlib.util
from pathlib import Path

from autotune.errors import ModelError

_SUFFIXES = (".onnx", ".ort")


def locate(name: str) -> Path:
    """Return the model file that `name` means; a package is looked into but never imported.

    `magika:` is the one model in the package magika; `package:part` is the one whose path in the
    package ends with `part`.

    Raises:
        ModelError: there is no such file or package, it is a directory, it is empty, it cannot be
            read, or the name fits several models.
    """
    package, colon, part = name.partition(":")
    path = Path(name)
    if colon and package.isidentifier() and not path.exists():
        path = _in_package(name, package, part)
    if path.is_dir():
        raise ModelError(f"{name}: is a directory; name the model file in it")
    if not path.exists():
        raise ModelError(f"{name}: no such file")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise ModelError(f"{name}: the file is empty")
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror}") from None
    return path


def sha256(path: Path) -> str:
    """Return the file's SHA-256 as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_package(name: str, package: str, part: str) -> Path:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise ModelError(f"{name}: no package {package!r} is installed here")
    root = Path(folders[0])
    models = sorted(file for file in root.rglob("*") if file.suffix in _SUFFIXES)
    matching = [file for file in models if str(file.relative_to(root)).endswith(part)]
    if len(matching) == 1:
        return matching[0]
    choices = ", ".join(f"{package}:{file.relative_to(root)}" for file in matching or models)
    if not choices:
        raise ModelError(f"{name}: the package {package!r} holds no model file")
    found = "fits several models" if matching else "no such model in the package"
    raise ModelError(f"{name}: {found}; choose one of: {choices}")
