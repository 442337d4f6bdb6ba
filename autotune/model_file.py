"""Which file a model's name means: a path, `package:file`, or the source of a function.

Packages and modules are looked for and read; nothing of them is imported.
"""

import ast
import contextlib
import hashlib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from autotune.bounded_file import read_bytes
from autotune.errors import ModelError, did_you_mean, did_you_mean_file

_SUFFIXES = (".onnx", ".ort", ".pt2", ".pt", ".pth", ".ts")
_FUNCTION = re.compile(r"((?:\w+\.)*\w+):(\w+)")
_ANY = "*"
"""Stands for names that only importing a module would tell."""
MOST_SOURCE_BYTES = 2_000_000


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
    if path.suffix == ".py":
        raise ModelError(
            f"{name}: is Python source: name the function in it that builds the module, "
            f"{path.stem}:function"
        )
    return path


def locate_function(name: str) -> tuple[Path, str] | None:
    """Return the source that defines `package.module:function`, and the name itself.

    The current folder is looked in before the installed packages, as servers do. None: the name
    means a file, which `locate` finds.

    Raises:
        ModelError: there is no such module, its source cannot be read, or does not define it.
    """
    found = _FUNCTION.fullmatch(name)
    if found is None or os.path.exists(name):
        return None
    module, function = found.groups()
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        return None
    models = _models_of(module)
    if any(model.endswith(function) for model in models):
        return None
    source = _source_of(module)
    if source is None:
        if module.endswith(".py"):
            right = f"{module.removesuffix('.py')}:{function}"
            raise ModelError(f"{name}: name the module and not its file: {right}")
        raise ModelError(f"{name}: no module {module!r} in this folder or installed here")
    names = _defined_in(name, source)
    if function not in names and _ANY not in names:
        if models:
            return None
        hint = did_you_mean(function, names)
        raise ModelError(f"{name}: {source} defines no {function!r}{hint}")
    return source, name


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


def _models_of(package: str) -> list[str]:
    root = None if "." in package else _folder_of(package)
    return [] if root is None else [str(file.relative_to(root)) for file in _models_in(root)]


def _source_of(module: str) -> Path | None:
    first, *rest = module.split(".")
    roots: list[Path] = []
    spec = None
    with contextlib.suppress(ValueError):  # What runs as __main__ may have none.
        spec = importlib.util.find_spec(first)
    if spec is not None and spec.submodule_search_locations is not None:
        roots = [Path(folder).parent for folder in spec.submodule_search_locations]
    elif spec is not None and spec.origin is not None:
        roots = [Path(spec.origin).parent]
    for root in (Path.cwd(), *roots):
        place = root.joinpath(first, *rest)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def _defined_in(name: str, source: Path) -> set[str]:
    try:
        data = read_bytes(source, MOST_SOURCE_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # importing it will say them again
            tree = ast.parse(data)
    except OSError as error:
        raise ModelError(f"{name}: {source} cannot be read: {error.strerror}") from None
    except (RecursionError, MemoryError):
        raise ModelError(f"{name}: {source}: is nested too deeply to be read") from None
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ModelError(f"{name}: {source}{line}: {error.args[0]}") from None
    return set(_names(tree.body))


def _names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Return what statements define at their own level, within `if`, `try` and `with` too."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield _ANY if node.name == "__getattr__" else node.name
            continue
        for child in ast.walk(node):
            if isinstance(child, ast.alias):
                yield child.asname or child.name.partition(".")[0]
            elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                yield child.id
            elif isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield child.name
