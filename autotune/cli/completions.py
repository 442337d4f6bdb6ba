"""What a shell offers for the value of an option; nothing heavy is loaded for it.

Where nothing is offered, the shell offers files.
"""

import os
from pathlib import Path
from typing import get_args

from autotune.cli.flags import KNOBS


def servers() -> list[str]:
    """Return the servers that a configuration can be exported to."""
    from autotune.exports.exporters import EXPORTERS

    return list(EXPORTERS)


def objectives() -> list[str]:
    """Return what a search may look for."""
    from autotune.spec import Objective

    return list(get_args(Objective))


def strategies() -> list[str]:
    """Return the searches that are installed."""
    from autotune.strategy.plugins import names

    return names()


def execution_modes() -> list[str]:
    """Return the runtime's execution modes."""
    from autotune.spec import ExecutionMode

    return list(get_args(ExecutionMode))


def arrivals() -> list[str]:
    """Return how requests may arrive, an example of each."""
    return ["poisson", "constant", "bursty:4", "gaps:2s"]


def stale() -> list[str]:
    """Return what to do about a stale file."""
    return ["error", "warn"]


def compared() -> list[str]:
    """Return the other configuration, or the knobs that make one."""
    return ["default", *(f"{knob}=" for knob in KNOBS)]


def tuned_files(incomplete: str) -> list[str]:
    """Return the tuned files that a name may become."""
    return _files(incomplete, (".autotune.json",))


def models(incomplete: str) -> list[str]:
    """Return the model files that a name may become."""
    return _files(incomplete, (".onnx", ".ort", ".pt2", ".pt", ".pth", ".ts"))


def _files(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    folder, start = os.path.split(incomplete)
    try:
        names = sorted(os.listdir(folder or Path.cwd()))
    except OSError:
        return []
    fitting = [name for name in names if name.startswith(start) and name.endswith(endings)]
    return [os.path.join(folder, name) for name in fitting]
