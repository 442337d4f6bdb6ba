"""A question with all files that it needs, as one thing that can be sent to another machine."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from autotune.errors import ModelError, UsageError
from autotune.models.onnx_external import external_files
from autotune.spec import ModelSpec
from autotune.stages.question import Question

_MODEL, _GIVEN = "model", "given"


class Parcel(NamedTuple):
    """A question whose paths are those of `files`."""

    question: Question
    files: dict[str, bytes]
    """What each file holds, by its path in the folder where it shall lie."""


def pack(question: Question) -> Parcel:
    """Read what a question needs.

    Raises:
        UsageError: the model is a function.
        ModelError: a file cannot be read.
    """
    model, files = question.model, dict[str, bytes]()
    if model.function is not None:
        raise UsageError(
            f"{model.function}: a function is no file that could be sent to the nodes: save the "
            "module with torch.export, and name that file"
        )
    path = Path(model.path)
    for name, source in _model_files(model):
        files[f"{_MODEL}/{name}"] = _read(source)

    def take(given: str | None) -> str | None:
        if given is None:
            return None
        name = f"{_GIVEN}/{len(files)}-{Path(given).name}"
        files[name] = _read(Path(given))
        return name

    moved = _with_paths(question, f"{_MODEL}/{path.name}", take)
    return Parcel(moved, files)


def unpack(parcel: Parcel, folder: Path) -> Question:
    """Write the files into a folder; return the question with where they are now."""
    for name, data in parcel.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def here(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    return _with_paths(parcel.question, str(folder / parcel.question.model.path), here)


def _with_paths(
    question: Question, model: str, place: Callable[[str | None], str | None]
) -> Question:
    requests = [
        structs.replace(one, input_file=place(one.input_file)) for one in question.model.requests
    ]
    spec = structs.replace(
        question.model, path=model, input_file=place(question.model.input_file), requests=requests
    )
    sources = tuple(Path(place(str(one)) or "") for one in question.learning.sources)
    learning = structs.replace(question.learning, sources=sources)
    return structs.replace(question, model=spec, learning=learning, output=None)


def _model_files(model: ModelSpec) -> list[tuple[str, Path]]:
    """Return the model's files with their paths in its folder."""
    path = Path(model.path)
    found = [(path.name, path)]
    beside = external_files(path) if model.path.endswith(".onnx") else []
    return [*found, *((os.path.relpath(one, path.parent), one) for one in beside)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
