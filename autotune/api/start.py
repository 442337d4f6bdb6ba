"""What a search starts from, as a caller in Python gives it."""

from collections.abc import Iterable
from typing import Any

from autotune.api import asked
from autotune.embed import Tuned
from autotune.given import check_trials, make_objective
from autotune.spec import Provider
from autotune.stages.question import Learning, Watts
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


def aims(objective: str, strategy: str, idle_watts: object, core_watts: object) -> dict[str, Any]:
    """Return what to look for and how, as a question has it.

    Raises:
        UsageError: there is no such objective or strategy, or a power is none.
    """
    return {
        "objective": make_objective(objective),
        "strategy": asked.strategy(strategy),
        "watts": Watts(
            idle=asked.or_none(asked.watts, idle_watts, "idle_watts"),
            core=asked.or_none(asked.watts, core_watts, "core_watts"),
        ),
    }


def limits(budget_s: object, trials: object) -> dict[str, Any]:
    """Return for how long to search, as a question has it.

    Raises:
        UsageError: no number above zero, or no whole one.
    """
    return {
        "budget_s": asked.or_none(asked.above_zero, budget_s, "budget_s"),
        "max_trials": check_trials(asked.or_none(asked.whole, trials, "trials")),
    }


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
