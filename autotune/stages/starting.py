"""What a search starts from, as a person names it: earlier searches, and what serves now."""

from collections.abc import Sequence
from pathlib import Path

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.spec import Provider, runtime_default
from autotune.stages.question import Incumbent, Learning
from autotune.units import MAX_LOAD_RPS

SAFE_BESIDE = 0.05
"""Risk of missing the SLO that is taken beside something that serves, if nobody says otherwise."""
DEFAULT = "default"
"""The name of what the runtime does by itself."""


def make_learning(sources: Sequence[Path], blank: bool) -> Learning:
    """Return what a search learns from.

    Raises:
        UsageError: a source is no file.
    """
    for path in sources:
        check_source(path)
    return Learning(sources=tuple(sources), blank=blank)


def check_source(path: Path) -> None:
    """Find out whether something to learn from is there.

    Raises:
        UsageError: it is no file.
    """
    if not path.is_file():
        raise UsageError(
            f"--learn-from {path}: there is no such file: name a tuned file or a store"
        )


def make_incumbent(serving: str | TunedFile | None, device: Provider) -> tuple[Incumbent, ...]:
    """Return what serves now: a tuned file, its path, or `default`.

    Raises:
        ConfigFileError: the file cannot be read.
    """
    if serving is None:
        return ()
    if serving == DEFAULT:
        return (Incumbent(load_rps=MAX_LOAD_RPS, config=runtime_default(device)),)
    tuned = serving if isinstance(serving, TunedFile) else config_file.read(Path(serving))
    return tuple(Incumbent(load_rps=one.load_rps, config=one.config) for one in tuned.policy)


def risk_beside(max_risk: float | None, incumbent: Sequence[Incumbent]) -> float | None:
    """Return the risk that may be taken; None: any."""
    return SAFE_BESIDE if max_risk is None and incumbent else max_risk
