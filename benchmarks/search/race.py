"""Race search strategies on one space, from many seeds, and keep every step.

    python -m search.race SPACE OUTPUT.jsonl --strategies rrl,random --seeds 20 --most 150

SPACE: `cpu:POINTS:MODEL`, `gpu:POINTS:MODEL` (machines on paper, the model drawn by a seed), or a
recorded table's path. A strategy's task is the whole policy table. RRL searches all loads at
once; a rival searches one load after the other, each with the same seed. What a rival asks for
outside the lattice, or twice, is answered at once and costs nothing. A race ends when every load's
answer is within `NEAR` of the best, when each load has had `--most` measurements, or when RRL has
been settled for `AFTERWARDS` measurements.

`--live` measures on this machine, which must be the one that the table was recorded on: the table
then only says what is true.

`python -m search.standings OUTPUT.jsonl...` makes the table and the pictures.
"""

import argparse
import contextlib
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from autotune.learn.teaching import taught_latency
from autotune.outcome import Samples
from autotune.paper.machines import cpu_paper, gpu_paper
from autotune.stages.goal import LOST_NOISE, MIN_NOISE
from autotune.strategy.ablations import with_fixed_regions, without_prediction
from autotune.strategy.protocol import Observation, Pair, Prediction, SearchSettings, over_limit
from autotune.strategy.rrl import Rrl
from search.rivals import RIVALS
from search.spaces import (
    WINDOW_S,
    Clock,
    Foresight,
    Places,
    Reading,
    Space,
    live,
    on_paper,
    recorded,
)

OURS = ("rrl", "rrl-safe", "rrl-no-prior", "rrl-fixed-regions")
NEAR = 0.01
AFTERWARDS = 20
"""Measurements that RRL makes when it called itself settled, to see what else it would find."""
NO_ANSWER = 1e9
MAX_RISK = 0.05
"""Of `rrl-safe`, of missing the SLO."""
CORES = 64
MOST_COSTED = 20_000
"""Points beyond which RRL is not told what each would cost."""
MOST_ASKED = 20_000
"""Questions of a rival, those that cost nothing included."""


class Step(NamedTuple):
    """One measurement of a race."""

    load: int
    seconds: float
    """Of measuring so far, the profile included."""
    regret: float
    """How much slower the answer is than the best: of the worst load, or of this one where loads
    are searched one after the other; `NO_ANSWER` without one."""
    violates: bool


class Learnt(NamedTuple):
    """What RRL was told in a race."""

    foresight: Foresight | None
    told: list[tuple[Pair, float | None]]
    """Latencies in seconds; None: the configuration failed."""


class Raced(msgspec.Struct):
    """One strategy's race from one seed."""

    space: str
    points: int
    loads: int
    strategy: str
    seed: int
    profile_s: float
    steps: list[Step]
    thinking_s: float
    """Seconds spent by the strategy itself."""
    settled_at: int | None
    """Measurements after which it called itself settled; None: it did not, or cannot."""


def main() -> None:
    """Race."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space")
    parser.add_argument("output", type=Path)
    parser.add_argument("--strategies", default=",".join([*OURS, *RIVALS]))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--most", type=int, default=150, help="measurements of a load")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        space = make_space(given.space)
        if given.live:
            space = stack.enter_context(live(Path(given.space), space))
        race_all(space, given)


def race_all(space: Space, given: argparse.Namespace) -> None:
    """Race all strategies from all seeds, but for those raced before."""
    done = {(race.strategy, race.seed) for race in read_races(given.output)}
    for seed, name in itertools.product(range(given.seeds), given.strategies.split(",")):
        if (name, seed) in done:
            continue
        raced = race(space, name, seed, given.most)
        with given.output.open("ab") as file:
            file.write(msgspec.json.encode(raced) + b"\n")
        last = raced.steps[-1]
        print(
            f"{space.name}: {name} {seed}: {len(raced.steps)} in {last.seconds:.0f} s", flush=True
        )


def make_space(name: str) -> Space:
    """Return the space of this name."""
    kind, *numbers = name.split(":")
    if kind == "cpu":
        return on_paper(cpu_paper(CORES, int(numbers[0]), int(numbers[1])))
    if kind == "gpu":
        return on_paper(gpu_paper(int(numbers[0]), int(numbers[1])))
    return recorded(Path(name))


def read_races(path: Path) -> list[Raced]:
    """Return what was raced so far."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=Raced) for line in path.read_bytes().splitlines()]


def race(space: Space, name: str, seed: int, most: int) -> Raced:
    """Run one strategy from one seed."""
    steps: list[Step] = []
    raced = Raced(
        space.name, len(space.configs), len(space.loads_rps), name, seed, 0, steps, 0, None
    )
    if name in OURS:
        race_rrl(space, raced, most)
    else:
        _race_rival(space, raced, most)
    return raced


def race_rrl(
    space: Space,
    raced: Raced,
    most: int,
    first: Sequence[Pair] = (),
    near: float | None = None,
) -> Learnt:
    """Run RRL; return what it learnt.

    Args:
        space: where.
        raced: what is known of the race; its steps are added.
        most: measurements of a load.
        first: pairs that are measured before RRL is asked.
        near: end as soon as the answers are so near the best; None: when it is settled as well.
    """
    started_s = time.process_time()
    search, foresight = _make_rrl(space, raced)
    learnt = Learnt(foresight, [])
    clock, measure = Clock(space), space.measuring(raced.seed)
    clock.seconds = raced.profile_s
    if foresight is not None:
        for shape in foresight.warm:
            clock.keep(shape)
    for count in range(most * raced.loads):
        if raced.settled_at is None and search.settled():
            raced.settled_at = count
        pair = first[count] if count < len(first) else search.ask_on(_costs_s(space, clock))
        if pair is None:
            break
        reading = measure(pair.load, pair.point)
        clock.spend(space.configs[pair.point], reading.seconds)
        if foresight is not None and foresight.predictor is not None:
            foresight.predictor.learn([(pair.point, reading.states)])
            search.expect(*_predictions(foresight, space, raced))
        search.tell(pair, _observation(reading, space, raced))
        learnt.told.append((pair, reading.value_s))
        best = [search.best(load)[:1] for load in range(raced.loads)]
        regret = max(_regret(space, load, points) for load, points in enumerate(best))
        violates = bool(space.violates[pair] != 0)
        raced.steps.append(Step(pair.load, clock.seconds, regret, violates))
        if _is_over(raced, count, regret, near):
            break
    raced.thinking_s = time.process_time() - started_s
    return learnt


def _is_over(raced: Raced, count: int, regret: float, near: float | None) -> bool:
    if near is not None:
        return regret <= near
    settled_at = raced.settled_at
    return settled_at is not None and (regret <= NEAR or count >= settled_at + AFTERWARDS)


def _make_rrl(space: Space, raced: Raced) -> tuple[Rrl, Foresight | None]:
    loads, settings = np.log2(np.array(space.loads_rps)), SearchSettings(seed=raced.seed)
    if raced.strategy == "rrl-no-prior":
        return without_prediction(space.coordinates, loads, settings), None
    if raced.strategy == "rrl-fixed-regions":
        return with_fixed_regions(space.coordinates, loads, settings), None
    foresight = space.foresee(raced.seed)
    raced.profile_s = foresight.profile_s
    settings = settings._replace(max_risk=_risk(raced))
    value, excess = _predictions(foresight, space, raced)
    return Rrl(space.coordinates, loads, value, excess, settings), foresight


def _predictions(
    foresight: Foresight, space: Space, raced: Raced
) -> tuple[Prediction, Prediction | None]:
    predictor = foresight.predictor
    value = Prediction(np.log(foresight.predicted_s))
    if predictor is not None:
        value = Prediction(np.log(predictor.predicted_s), predictor.doubt)
        if foresight.experience is not None:
            taught = taught_latency(
                foresight.experience,
                space.loads_rps,
                space.configs,
                predictor.predicted_s,
                predictor.service_doubt,
            )
            value = value._replace(taught=taught)
    if _risk(raced) is None:
        return value, None
    return value, over_limit(value, space.slo_s)


def _observation(reading: Reading, space: Space, raced: Raced) -> Observation:
    if reading.value_s is None:
        return Observation(None)
    value, noise = float(np.log(reading.value_s)), LOST_NOISE if reading.is_bound else MIN_NOISE
    if _risk(raced) is None:
        return Observation(value, noise)
    return Observation(value, noise, value - float(np.log(space.slo_s)), noise)


def _risk(raced: Raced) -> float | None:
    """The risk that a race may take, by its name: `rrl-safe`, or `rrl-safe-20` for 20 %."""
    name, _, share = raced.strategy.partition("-safe")
    if name == raced.strategy:
        return None
    return float(share[1:]) / 100 if share else MAX_RISK


def _costs_s(space: Space, clock: Clock) -> Samples | None:
    """Seconds to measure each pair now; None where there are too many to tell."""
    if len(space.configs) > MOST_COSTED:
        return None
    row = np.array([WINDOW_S + clock.opening_s(config) for config in space.configs])
    return np.broadcast_to(row, space.true_s.shape)


def _race_rival(space: Space, raced: Raced, most: int) -> None:
    places, clock = Places(space.coordinates), Clock(space)
    measure = space.measuring(raced.seed)
    for load in range(raced.loads):
        started_s = time.process_time()
        rival = RIVALS[raced.strategy](places.lattice, raced.seed)
        known: dict[int, float | None] = {}
        for _ in range(MOST_ASKED):
            place = rival.ask()
            if place is None or len(known) >= most:
                break
            point = places.point(place)
            if point is None:
                rival.tell(place, None)
                continue
            if point not in known:
                reading = measure(load, point)
                clock.spend(space.configs[point], reading.seconds)
                known[point] = reading.value_s
                worked = {of: value for of, value in known.items() if value is not None}
                best = [min(worked, key=worked.__getitem__)] if worked else []
                regret, violates = _regret(space, load, best), bool(space.violates[load, point])
                raced.steps.append(Step(load, clock.seconds, regret, violates))
                if regret <= NEAR:
                    break
            rival.tell(place, known[point])
        raced.thinking_s += time.process_time() - started_s


def _regret(space: Space, load: int, best: list[int]) -> float:
    """By how much the answer is slower than the best there is."""
    return float(space.regret[load, best[0]]) if best else NO_ANSWER


if __name__ == "__main__":
    main()
