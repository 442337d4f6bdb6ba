"""What is measured before a strategy is asked: what serves now, what a former version runs, or what
the engine would, where the search goes through a server."""

from collections.abc import Sequence

from autotune.config_file import PolicyEntry
from autotune.errors import UsageError
from autotune.records import Summary
from autotune.runtime_environment import is_torch
from autotune.spec import ServingConfig
from autotune.stages.context import Context
from autotune.stages.events import Said
from autotune.stages.question import Incumbent, Question
from autotune.stages.survey import Ground
from autotune.stages.targeted import nearest
from autotune.stats.summary import summarize
from autotune.strategy.protocol import Pair
from autotune.units import format_rps

NO_WORSE = 1.15
"""A configuration holds whose latency may be within this factor of what it was."""


def preset_pairs(question: Question, ground: Ground) -> list[Pair]:
    """Return what is measured first, a pair a load.

    Raises:
        UsageError: what serves now is no configuration that could be run here.
    """
    loads_rps = [one.load_rps for one in ground.traffics]
    if question.target is not None and question.engine is not None:
        lattice, torch = ground.lattice, is_torch(ground.info.runtime)
        chosen = [one.config for one in question.engine.policy]
        return _pairs(ground, [nearest(one, lattice, question.target, torch) for one in chosen])
    if question.incumbent:
        return _pairs(ground, [_serving(question.incumbent, one) for one in loads_rps])
    if ground.version is None:
        return []
    policy = {entry.load_rps: entry.config for entry in ground.version.policy}
    known = [policy[one] for one in loads_rps if policy.get(one) in ground.lattice.configs]
    return _pairs(ground, known) if len(known) == len(loads_rps) else []


def still_holds(context: Context, ground: Ground, preset: Sequence[Pair]) -> bool:
    """Whether a former version's answer, just measured, holds for this one at every load."""
    if ground.version is None or context.question.incumbent or not preset:
        return False
    for pair in preset:
        traffic, config = ground.traffics[pair.load], ground.lattice.configs[pair.point]
        runs = context.journal.runs("search", traffic, config)
        now = summarize(runs, context.question.slo) if runs else None
        if not _holds(ground.version.policy[pair.load], now):
            text = f"what did for the former version does not at {format_rps(traffic.load_rps)}/s"
            context.observe(Said(text=f"{text}: searching"))
            return False
    return True


def _holds(entry: PolicyEntry, now: Summary | None) -> bool:
    if now is None or now.diverged or entry.measured is None:
        return False
    found, then = now.objective, entry.measured.objective
    least_ms, most_ms = found.low_ms or found.value_ms, then.high_ms or then.value_ms
    if least_ms is None or most_ms is None:
        return False
    return least_ms <= NO_WORSE * most_ms and (now.meets_slo or not entry.meets_slo)


def _serving(incumbent: Sequence[Incumbent], load_rps: float) -> ServingConfig:
    reaching = (one.config for one in incumbent if load_rps <= one.load_rps)
    return next(reaching, incumbent[-1].config)


def _pairs(ground: Ground, configs: Sequence[ServingConfig]) -> list[Pair]:
    known = ground.lattice.configs
    for config in configs:
        if config not in known:
            raise UsageError(
                f"--incumbent: {config.describe()} is none of the configurations that can be tried "
                "with this model on this machine"
            )
    return [Pair(load, known.index(config)) for load, config in enumerate(configs)]
