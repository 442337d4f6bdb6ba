"""Fleets for the load that is forecast, with a function to spill over to or without one."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.planning.attained import Scene
from autotune.planning.forecasts import Forecasts
from autotune.planning.mixes import Mixes
from autotune.planning.policies import SEEN_S, ahead, ratios_by, trailing_max, trailing_mean
from autotune.planning.provision import machines_for, provision
from autotune.planning.spill_over import SpillOver
from autotune.planning.tries import Tried, best_of, fixed_fleet, judge, level_of, order_of, types_in

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99)
"""Of what came over what was forecast: the margin of a predictive policy."""
FACTORS = (0.5, 0.7, 0.85, 1.0, 1.25, 1.6, 2.5)
"""On that margin."""
FLOORS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Load that is provided for at all times, over the busiest step's."""
LONG_HOLD_S = 300.0
FILLS = (1.0, 1.1, 1.25, 1.5)
ROUNDS = 3
"""Of looking through one setting after the other."""
BASES = 12
"""Fixed fleets that are tried under a function."""
LOWEST_BASE = 0.02
"""Of the busiest window."""


class _Ahead(NamedTuple):
    """What a predictive policy goes by."""

    scene: Scene
    ladders: Sequence[Mixes]
    forecasts: Forecasts
    ratios: Samples
    """See `ratios_by`, at `QUANTILES`."""
    function: SpillOver | None


_Choice = tuple[int, ...]
"""Places in the settings that a predictive policy may have."""


def predictive(
    scene: Scene,
    ladders: Sequence[Mixes],
    forecasts: Forecasts,
    function: SpillOver | None = None,
) -> Iterator[Tried]:
    """Yield the fleets for the forecast and a margin, one setting after the other varied.

    With a function, what is too much goes there. Without, no fewer machines are wanted than what
    is seen now needs, unless the margin is below the median of the errors.
    """
    loads_rps = scene.windows.step_loads_rps
    ratios = ratios_by(forecasts, loads_rps, np.array(QUANTILES))
    given = _Ahead(scene, ladders, forecasts, ratios, function)
    sizes = [len(QUANTILES), len(FACTORS), len(_holds_s(given)), len(ladders), len(FLOORS)]
    if function is not None:
        sizes.append(len(FILLS))
    here: _Choice = (2, FACTORS.index(1.0), 1, *(0 for _ in sizes[3:]))
    known: dict[_Choice, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for axis, size in enumerate(sizes):
            for place in range(size):
                choice = (*here[:axis], place, *here[axis + 1 :])
                if choice not in known:
                    tried = _provided(given, choice)
                    known[choice] = order_of(scene, judge(scene, tried))
                    yield tried
            here = min(known, key=known.__getitem__)


def _holds_s(given: _Ahead) -> tuple[float, ...]:
    """Return how long more than is forecast may be kept: not, as long as a start takes, longer."""
    start_s = given.forecasts.lead * given.scene.windows.step_s
    return 0.0, start_s, max(LONG_HOLD_S, 4 * start_s)


def _provided(given: _Ahead, choice: _Choice) -> Tried:
    """Return the fleet of a choice of settings."""
    step_s, loads_rps = given.scene.windows.step_s, given.scene.windows.step_loads_rps
    quantile, factor = QUANTILES[choice[0]], FACTORS[choice[1]]
    hold_s, mixes = _holds_s(given)[choice[2]], given.ladders[choice[3]]
    wanted_rps = ahead(given.forecasts, given.ratios[:, choice[0]] * factor, step_s, hold_s)
    if given.function is None and quantile >= 0.5 and factor >= 1:
        seen_rps = trailing_mean(loads_rps, max(1, round(SEEN_S / step_s)))
        wanted_rps = np.maximum(wanted_rps, trailing_max(seen_rps, round(hold_s / step_s)))
    least_rps = FLOORS[choice[4]] * float(loads_rps.max())
    wanted_rps = np.maximum(wanted_rps, least_rps)
    fleet = provision(machines_for(wanted_rps, mixes), given.scene.types, step_s)
    settings = {
        "margin_quantile": quantile,
        "margin_factor": factor,
        "hold_s": hold_s,
        "least_rps": least_rps,
        "machine_types": types_in(mixes),
    }
    if given.function is None:
        return Tried(settings, fleet)
    fill = FILLS[choice[5]]
    return Tried({**settings, "fill": fill}, fleet, given.function, fill)


def spilling(
    scene: Scene, ladders: Sequence[Mixes], forecasts: Forecasts, function: SpillOver
) -> Iterator[Tried]:
    """Yield fleets whose excess goes to a function: forecast, fixed, or none at all."""
    yield functions_only(scene, function)
    for mixes in ladders:
        best = best_of(scene, _spilling_fixed(scene, mixes, function))
        yield best
        for fill in FILLS[1:]:
            yield best._replace(settings={**best.settings, "fill": fill}, fill=fill)
    yield from predictive(scene, ladders, forecasts, function)


def functions_only(scene: Scene, function: SpillOver) -> Tried:
    """Return the fleet without machines."""
    none = np.zeros(len(scene.types), dtype=np.int64)
    return Tried({"machine_types": 0.0, "fill": 1.0}, fixed_fleet(scene, none), function)


def _spilling_fixed(scene: Scene, mixes: Mixes, function: SpillOver) -> Iterator[Tried]:
    highest_rps = min(scene.windows.peak_rps, float(mixes.loads_rps[-1]))
    bases_rps = np.geomspace(LOWEST_BASE * highest_rps, highest_rps, BASES)
    for level in np.unique(np.searchsorted(mixes.loads_rps, bases_rps)):
        tried = level_of(scene, mixes, min(int(level), len(mixes.loads_rps) - 1))
        yield Tried({**tried.settings, "fill": 1.0}, tried.fleet, function)
