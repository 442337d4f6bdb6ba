"""Confirm: the finalists against the runtime's default, interleaved, under the same arrivals."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from msgspec import structs

from autotune.arrivals import Traffic
from autotune.records import Failed, Summary
from autotune.spec import ServingConfig
from autotune.stages.context import Context
from autotune.stages.drive import Window, order_of_round
from autotune.stages.events import Said, Started, Tried
from autotune.stages.survey import Ground, best_predicted
from autotune.stages.windows import run_window
from autotune.stats.judge import Decision, Judge
from autotune.stats.paired import MIN_ROUNDS
from autotune.stats.summary import summarize
from autotune.strategy.protocol import Search, Strategy
from autotune.units import format_rps

ROUNDS = MIN_ROUNDS
"""Interleaved rounds: as many as it takes to tell a difference from noise."""
STOP_WHEN: frozenset[Decision] = frozenset({"diverged"})
"""Windows of a round are compared, so nothing else may end one early."""
MAX_FINALISTS = 2
"""Besides the default."""
CLOSE = 1.15
"""A runner-up whose estimate is within this factor of the best may be the better one."""
TARGET_REQUESTS = 1200
"""Per finalist and load, where time allows: twelve requests beyond a p99."""
MIN_ROUND_S = 0.6
LEAST_SHARE = 0.5
"""A round is begun only if at least this share of it fits the budget."""
OVERHEAD_S = 0.15
"""Per run: warm-up of another batch size, draining, talk between processes."""


def finalists(ground: Ground, strategy: Strategy, load: int) -> list[ServingConfig]:
    """Return the default and its rivals at this load.

    Rivals are the best measured configuration and, where it is close, a runner-up; of close ones,
    the simplest. One of them always runs several replicas side by side within the cores, measured
    before or not, if need be in the runner-up's place: a search misled by its prediction may have
    looked at variants of a single replica only, and must not call them all there is.
    """
    configs, estimated_s = ground.lattice.configs, np.exp(strategy.estimate(load))
    ranked = strategy.best(load)
    if not ranked:
        return [configs[0]]
    best, *others = ranked
    close = [point for point in others if estimated_s[point] <= CLOSE * estimated_s[best]]
    close.sort(key=lambda point: configs[point].complexity)
    rivals = [configs[point] for point in (best, *close) if point]
    rivals = rivals[:MAX_FINALISTS]
    if configs[best].overlap:  # what overlapping gains is told beside the same without
        naive = structs.replace(configs[best], overlap=False)
        rivals = [configs[best], *([naive] if naive != configs[0] else [])]
    several = [point for point, config in enumerate(configs) if _side_by_side(config, ground.cores)]
    if several and not any(rival.replicas > 1 for rival in rivals):
        point = several[best_predicted(estimated_s[several], [configs[p] for p in several])]
        rivals = [*rivals[: MAX_FINALISTS - 1], configs[point]]
    return [configs[0], *rivals]


def safe(
    context: Context, ground: Ground, strategy: Search, load: int, field: list[ServingConfig]
) -> list[ServingConfig]:
    """Return those of the field that may be measured: all, unless a risk is bounded.

    Where the default may not, there is nothing to compare with, and nobody is left.
    """
    max_risk = context.question.max_risk
    if max_risk is None:
        return field
    risk, configs = strategy.risk(load), ground.lattice.configs
    allowed = [config for config in field if risk[configs.index(config)] < max_risk]
    return allowed if configs[0] in allowed else []


def _side_by_side(config: ServingConfig, cores: int) -> bool:
    fits = config.replicas * config.session_shape.threads_per_replica <= cores
    return config.replicas > 1 and (fits or config.on_gpu)


def confirm(context: Context, ground: Ground, strategy: Search) -> None:
    """Measure the finalists of every load in interleaved rounds for what is left of the budget.

    A finalist that fails, or whose queue diverges, is not measured again.
    """
    context.observe(Started(step="confirming", ends_in_s=context.deadline.left_s))
    fields = [
        safe(context, ground, strategy, load, finalists(ground, strategy, load))
        for load in range(len(ground.traffics))
    ]
    out: set[tuple[int, ServingConfig]] = set()
    for round_number in range(ROUNDS):
        windows_s = context.bench.settle(
            f"round {round_number}",
            list[float],
            partial(_windows_of_round, context, ground, fields, out, round_number),
        )
        if not windows_s:
            text = f"out of time after {round_number} of {ROUNDS} rounds: raise --budget"
            context.observe(Said(text=text, warning=True))
            return
        if round_number == 0:
            _warn_of_short_runs(context, ground, windows_s)
        for load in range(len(ground.traffics)):
            seed = (context.question.seed, 2, load, round_number)
            for place in order_of_round(len(fields[load]), round_number, seed[:3]):
                config = fields[load][place]
                if (load, config) in out:
                    continue
                window = Window(windows_s[load], seed)
                result = _measure(context, ground, load, config, window, round_number)
                if isinstance(result, Failed) or result.diverged:
                    out.add((load, config))


def _warn_of_short_runs(context: Context, ground: Ground, windows_s: list[float]) -> None:
    for traffic, window_s in zip(ground.traffics, windows_s, strict=True):
        if window_s < traffic.cycle_s:
            text = (
                f"runs of {window_s:.3g} s at {format_rps(traffic.load_rps)}/s are shorter than "
                f"one cycle of {traffic.pattern.describe()} ({traffic.cycle_s:g} s), so they may "
                "miss what it does: raise --budget"
            )
            context.observe(Said(text=text, warning=True))


def _measure(
    context: Context,
    ground: Ground,
    load: int,
    config: ServingConfig,
    window: Window,
    round_number: int,
) -> Summary | Failed:
    traffic, predicted_ms = ground.traffics[load], ground.predicted_ms(load, config)
    judge = Judge(context.question.slo, traffic.mean_rps, stop_when=STOP_WHEN)
    timed = run_window(context, "confirm", config, traffic, window, judge)
    result = context.journal.add("confirm", traffic, config, predicted_ms, timed)
    if isinstance(result, Failed):
        text = f"{config.describe()} failed ({result.kind}): {result.detail}"
        context.observe(Said(text=text, warning=True))
    runs = context.journal.runs("confirm", traffic, config)
    context.observe(
        Tried(
            phase="confirm",
            load_rps=traffic.load_rps,
            config=config,
            predicted_ms=predicted_ms,
            result=result,
            best=None,
            ends_in_s=context.deadline.left_s,
            so_far=summarize(runs, context.question.slo) if runs else None,
            round_number=round_number + 1,
            rounds=ROUNDS,
        )
    )
    return result


def _windows_of_round(
    context: Context,
    ground: Ground,
    fields: list[list[ServingConfig]],
    out: set[tuple[int, ServingConfig]],
    round_number: int,
) -> list[float]:
    """Return the seconds of one run per load: enough for the target number of requests.

    Where time is short, every load gets the same, smaller number of requests: the evidence is
    only as good as the load that has least of it. Empty: there is no time for a round.
    """
    left_s, runs = context.deadline.left_s, _runs(fields, out)
    windows_s = windows_of_round_s(ground.traffics, runs, left_s / (ROUNDS - round_number))
    return [] if left_s < LEAST_SHARE * round_seconds(windows_s, runs) else windows_s


def windows_of_round_s(
    traffics: Sequence[Traffic], runs: Sequence[int], round_s: float
) -> list[float]:
    """Return the seconds of one run per load, of which there are so many in a round."""
    wanted_s = [traffic.seconds_for(TARGET_REQUESTS / ROUNDS) for traffic in traffics]
    left_s = round_s - OVERHEAD_S * sum(runs)
    needed_s = sum(seconds * count for seconds, count in zip(wanted_s, runs, strict=True))
    cut = min(1.0, left_s / needed_s) if needed_s else 1.0
    return [max(MIN_ROUND_S, cut * seconds) for seconds in wanted_s]


def _runs(fields: list[list[ServingConfig]], out: set[tuple[int, ServingConfig]]) -> list[int]:
    """How many finalists are still in at each load."""
    return [sum((load, config) not in out for config in field) for load, field in enumerate(fields)]


def round_seconds(windows_s: list[float], runs: list[int]) -> float:
    """Return the seconds of a round with so many runs per load."""
    return sum((OVERHEAD_S + s) * count for s, count in zip(windows_s, runs, strict=True))
