"""A module that a person's own function builds: imported in the child process, and called."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from autotune.errors import ModelError
from autotune.models.torch_errors import shorten


class Built(NamedTuple):
    """What the function returned."""

    module: torch.nn.Module
    example: Any
    """A tensor, a tuple or a dict of tensors; None: none."""


def build(name: str, seed: int) -> Built:
    """Import `package.module`, call `function`, and return the module and its example inputs.

    The current folder is looked in first, as servers do. torch's generator is seeded, so that
    weights made at random are the same in every replica.

    Raises:
        ModelError: it cannot be imported, fails, or returns no `torch.nn.Module`.
    """
    module_name, _, function_name = name.partition(":")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    imported = _guarded(name, lambda: importlib.import_module(module_name))
    function = getattr(imported, function_name, None)
    if not callable(function):
        raise ModelError(f"{name}: {module_name} has no function {function_name!r}")
    torch.manual_seed(seed)
    made = _guarded(name, function)
    module, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"{name}: returned {_type(made)}; it must return a torch.nn.Module, or a pair of one "
            "and its example inputs"
        )
    return Built(module, example)


def _guarded(name: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (Exception, SystemExit) as error:
        raise ModelError(f"{name}: {_where(error)}{type(error).__name__}: {_what(error)}") from None


def _what(error: BaseException) -> str:
    return shorten(error.msg if isinstance(error, SyntaxError) else str(error))


def _where(error: BaseException) -> str:
    """Return the last line that is a person's own: what they call is not theirs to mend."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


def _is_own(file: str) -> bool:
    parts = Path(file).parts
    installed = {"site-packages", "dist-packages"} & set(parts)
    ours = Path(__file__).parent.parent
    library = file.startswith(("<frozen", os.path.dirname(os.__file__)))
    return not installed and not library and ours not in Path(file).parents


def _type(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__}"
