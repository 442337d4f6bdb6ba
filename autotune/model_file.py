"""Which file a model's name means: a path, or `package:file` inside an installed package."""

import hashlib
import importlib.util
import os
from pathlib import Path

from autotune.errors import ModelError, did_you_mean_file

_SUFFIXES = (".onnx", ".ort")


def locate(name: str) -> Path:
    """Return the model file that `name` means; a package is looked into but never imported.

    `magika:` is the one model in the package magika; `package:part` is the one whose path in the
    package ends with `part`.

    Raises:
        ModelError: there is no such file or package, it is a directory, it is empty, it cannot be
            read, or the name fits several models.
    """
    if not name:
        raise ModelError("the model's name is empty: name a file, or package:file")
    if not name.isascii() and name != name.encode(errors="replace").decode():
        raise ModelError(f"{name}: is not text in this locale's encoding: rename it, or set LANG")
    package, colon, part = name.partition(":")
    path = Path(name)
    if colon and package.isidentifier() and not os.path.exists(path):
        path = _in_package(name, package, part)
    if os.path.isdir(path):
        raise ModelError(f"{name}: is a directory; name the model file in it")
    try:
        if not path.exists():
            raise ModelError(f"{name}: no such file{_meant(path)}")
        if not path.is_file():
            raise ModelError(f"{name}: is no regular file")
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


def _meant(path: Path) -> str:
    """Return the end of a complaint about a file that is not there."""
    name = str(path)
    if name.isidentifier() and (root := _folder_of(name)) is not None and _models_in(root):
        return f"; for the model in the package of this name write {name}:"
    return did_you_mean_file(path, _SUFFIXES)


def _folder_of(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # What runs as __main__ may have none.
        return None
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(folders[0]) if folders else None


def _models_in(root: Path) -> list[Path]:
    return sorted(file for file in root.rglob("*") if file.suffix in _SUFFIXES)


def _in_package(name: str, package: str, part: str) -> Path:
    root = _folder_of(package)
    if root is None:
        raise ModelError(f"{name}: no package {package!r} is installed here")
    models = _models_in(root)
    matching = [file for file in models if str(file.relative_to(root)).endswith(part)]
    if len(matching) == 1:
        return matching[0]
    choices = ", ".join(f"{package}:{file.relative_to(root)}" for file in matching or models)
    if not choices:
        raise ModelError(f"{name}: the package {package!r} holds no model file")
    found = "fits several models" if matching else "no such model in the package"
    raise ModelError(f"{name}: {found}; choose one of: {choices}")
