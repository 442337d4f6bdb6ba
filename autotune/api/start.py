"""What a search starts from, as a caller in Python gives it."""

from collections.abc import Iterable
from typing import Any

from autotune.api import asked
from autotune.embed import Tuned
from autotune.spec import Provider
from autotune.stages.question import Learning
from autotune.stages.starting import make_incumbent, make_learning, risk_beside


def learning(sources: object, blank: object) -> Learning:
    """Return what a search learns from.

    Raises:
        UsageError: no path or list of paths, no such file, or something else than True or False.
    """
    listed = (
        sources if isinstance(sources, Iterable) and not isinstance(sources, str) else [sources]
    )
    paths = [asked.file(one, "learn_from") for one in listed]
    return make_learning(paths, asked.whether(blank, "blank"))


def beside(serving: Any, safe: object, device: Provider) -> dict[str, Any]:
    """Return what serves now and the risk that may be taken beside it, as a question has them.

    Raises:
        UsageError: no path, and no result of a search; or no share.
        ConfigFileError: the file cannot be read.
    """
    if isinstance(serving, Tuned):
        serving = serving.file
    elif serving is not None:
        serving = asked.path(serving, "incumbent")
    incumbent = make_incumbent(serving, device)
    return {
        "incumbent": incumbent,
        "max_risk": risk_beside(asked.or_none(asked.share, safe, "safe"), incumbent),
    }
