"""What a search starts from, as a caller in Python gives it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autotune.api import asked
from autotune.api.asked import Loads, PathLike, Trace
from autotune.embed import Tuned
from autotune.given import check_trials, make_objective
from autotune.servers.target import find_target
from autotune.spec import Allowed, ModelSpec, Provider
from autotune.stages.question import Keeping, Target, Watts
from autotune.stages.starting import make_incumbent, make_learning, risk_beside


def named(model: ModelSpec, name: PathLike) -> dict[str, Any]:
    """Return the model with its name and the seed of its requests, as a question has them."""
    return {"model": model, "name": asked.path(name, "model"), "seed": model.seed}


def traffic(loads_rps: Loads | None, trace: Trace | None, arrivals: str | None) -> dict[str, Any]:
    """Return the loads and how requests arrive, as a question has them.

    Raises:
        UsageError: no loads, no arrivals, or contradicting ones.
    """
    traffics, pattern = asked.traffics(asked.loads(loads_rps, "loads_rps"), trace, arrivals)
    return {"traffics": traffics, "pattern": pattern}


def memory(keeping: Keeping, sources: object, blank: object) -> dict[str, Any]:
    """Return where a search is kept and what it learns from, as a question has them.

    Raises:
        UsageError: no path or list of paths, no such file, or something else than True or False.
    """
    listed = (
        sources if isinstance(sources, Iterable) and not isinstance(sources, str) else [sources]
    )
    paths = [asked.file(one, "learn_from") for one in listed]
    return {"keeping": keeping, "learning": make_learning(paths, asked.whether(blank, "blank"))}


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


def target(
    server: object, python: Any, at: tuple[object, object], model: ModelSpec, allowed: Allowed
) -> Target | None:
    """Return the server to search through; None: the engine itself.

    Args:
        server: its name.
        python: the interpreter that has it.
        at: where one runs already, and the command that reconfigures it.
        model: what it is to serve.
        allowed: what may be tried.

    Raises:
        UsageError: no texts, or as `find_target`.
        ServerError: there is no such interpreter.
    """
    name, url, command = (
        None if one is None else asked.text(one, argument)
        for one, argument in zip((server, *at), ("target", "url", "apply"), strict=True)
    )
    here = None if python is None else Path(asked.path(python, "python"))
    return find_target(name, here, url, command, model, allowed)


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
