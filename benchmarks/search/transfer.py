"""Searches that know of others: how many measurements the past saves, and how safely.

    python -m search.transfer OUTPUT.jsonl --spaces cpu --leave model --seeds 4

Every model on every machine on paper is searched once by cold RRL: that is the past. Then each is
raced with what the others teach: `--leave model` leaves out all searches of that model, `--leave
machine` all on that machine. A race ends when every load's answer is within 5 % of the best.

    rrl             cold: nothing is known but the profile
    rrl-taught      the same with lessons
    rrl-taught-safe, rrl-taught-safe-20
                    begins with what serves (any configuration that keeps the SLO), and leaves it
                    for what misses the SLO with a chance below 5 %, or 20 %
    rrl-no-prior    neither profile nor lessons: an agent that is not bootstrapped
    tpe-warm        Optuna's TPE, past bests enqueued
    multi-task-gp   one Gaussian process over all searches
    nearest         the most similar searches' best, one after the other

`python -m search.transfer --show OUTPUT.jsonl...` makes the tables.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from autotune.lesson import Lesson, SeenLatency
from autotune.paper.machines import Paper, cpu_paper, gpu_paper
from autotune.stats.reward import reward
from autotune.strategy.protocol import Pair
from search.race import NO_ANSWER, Learnt, Raced, race_rrl
from search.spaces import NOISE, Clock, Space, on_paper
from search.warm_rivals import Given, MultiTaskGp, Nearest, WarmRival, WarmTpe

NEAR = 0.05
POINTS = 300
MACHINES = (4, 16, 64)
"""Cores."""
RACED_ON = 16
MODELS = 5
MOST = 20
"""Measurements of a load."""
HORIZON = 30
"""Windows over which reward is counted: after a search, the answer serves."""
RIVALS: dict[str, Callable[[Given], WarmRival]] = {
    "tpe-warm": WarmTpe,
    "multi-task-gp": MultiTaskGp,
    "nearest": Nearest,
}
OURS = ("rrl", "rrl-taught", "rrl-taught-safe", "rrl-taught-safe-20", "rrl-no-prior")
Key = tuple[int, int]
"""Machine, model."""


class Transferred(msgspec.Struct):
    """One race."""

    space: str
    leave: str
    strategy: str
    model: int
    seed: int
    measurements: int | None
    """Until within 5 % at all loads; None: not by then."""
    seconds: float
    """Until then, or to the end, the profile included."""
    made: int
    """Measurements in all."""
    missed: int
    """Measurements that missed the SLO."""
    explored: int
    """Measurements that were not of what served before."""
    missed_exploring: int
    reward_lost: float
    """Share of the best reward that was not earned over `HORIZON` windows."""
    thinking_s: float


def main() -> None:
    """Race, or show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, nargs="+")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--spaces", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--leave", choices=("model", "machine"), default="model")
    parser.add_argument("--strategies", default=",".join([*OURS, *RIVALS]))
    parser.add_argument("--seeds", type=int, default=4, help="of each of the five models")
    given = parser.parse_args()
    if given.show:
        show(given.output)
        return
    (output,) = given.output
    papers = _papers(given.spaces)
    past = {key: _cold(paper, key) for key, paper in papers.items()}
    for race in _races(papers, past, given):
        with output.open("ab") as file:
            file.write(msgspec.json.encode(race) + b"\n")
        print(f"{race.strategy} {race.model} {race.seed}: {race.measurements}", flush=True)


def _papers(kind: str) -> dict[Key, Paper]:
    if kind == "gpu":
        return {(1, model): gpu_paper(POINTS, model) for model in range(MODELS)}
    return {
        (cores, model): cpu_paper(cores, POINTS, model)
        for cores in MACHINES
        for model in range(MODELS)
    }


def _cold(paper: Paper, key: Key) -> Lesson:
    space = on_paper(paper)
    learnt = race_rrl(space, _begun(space, "rrl", 1000 + key[1]), MOST // 2)
    print(f"past: {space.name}: {len(learnt.told)} measurements", flush=True)
    return lesson_of(space, learnt)


def lesson_of(space: Space, learnt: Learnt) -> Lesson:
    """Return what a race teaches."""
    assert space.about is not None
    assert learnt.foresight is not None
    assert learnt.foresight.predictor is not None
    predicted_s = learnt.foresight.predictor.predicted_s
    latencies = [
        SeenLatency(
            load_rps=space.loads_rps[pair.load],
            config=space.configs[pair.point],
            predicted_ms=1e3 * float(predicted_s[pair]),
            measured_ms=1e3 * value_s,
            noise=NOISE,
        )
        for pair, value_s in learnt.told
        if value_s is not None
    ]
    return msgspec.structs.replace(space.about(learnt.foresight), latencies=latencies)


def _races(
    papers: dict[Key, Paper], past: dict[Key, Lesson], given: argparse.Namespace
) -> Iterator[Transferred]:
    cores = RACED_ON if given.spaces == "cpu" else 1
    place = 1 if given.leave == "model" else 0
    for seed in range(given.seeds):
        for model in range(MODELS):
            own = cores, model
            lessons = [one for key, one in past.items() if key[place] != own[place]]
            for name in given.strategies.split(","):
                run = partial(_rival, name) if name in RIVALS else partial(_ours, name)
                race = run(papers[own], lessons, past[own], seed)
                race.space, race.leave, race.model = given.spaces, given.leave, model
                yield race


def _ours(
    name: str, paper: Paper, lessons: Sequence[Lesson], own: Lesson, seed: int
) -> Transferred:
    space = on_paper(paper, lessons if "taught" in name else ())
    raced = _begun(space, name.replace("-taught", ""), seed)
    first = serving(space, seed) if "safe" in name else []
    learnt = race_rrl(space, raced, MOST, first, NEAR)
    pairs = [pair for pair, _ in learnt.told]
    return _found(space, name, seed, raced, pairs, len(first))


def _rival(
    name: str, paper: Paper, lessons: Sequence[Lesson], own: Lesson, seed: int
) -> Transferred:
    space = on_paper(paper)
    raced, clock, measure = _begun(space, name, seed), Clock(space), space.measuring(seed)
    blank = msgspec.structs.replace(own, times=[], latencies=[])
    pairs, regrets = [], []
    for load in range(raced.loads):
        started_s = time.process_time()
        rival = RIVALS[name](Given(space, load, blank, lessons, seed))
        known: dict[int, float] = {}
        regret = NO_ANSWER
        for _ in range(MOST):
            point = rival.ask()
            if point is None:
                break
            reading = measure(load, point)
            clock.spend(space.configs[point], reading.seconds)
            rival.tell(point, reading.value_s)
            pairs.append(Pair(load, point))
            if reading.value_s is not None:
                known[point] = reading.value_s
                regret = float(space.regret[load, min(known, key=known.__getitem__)])
            if regret <= NEAR:
                break
        regrets.append(regret)
        raced.thinking_s += time.process_time() - started_s
    race = _found(space, name, seed, raced, pairs, 0)
    race.measurements = len(pairs) if max(regrets) <= NEAR else None
    race.seconds = clock.seconds
    return race


def serving(space: Space, seed: int) -> list[Pair]:
    """Return what somebody happens to run at each load: anything that keeps the SLO."""
    rng, found = np.random.default_rng((seed, 9)), []
    for load, row in enumerate(space.violates):
        keeping = np.flatnonzero((row == 0) & np.isfinite(space.true_s[load]))
        point = rng.choice(keeping) if len(keeping) else np.nanargmin(space.true_s[load])
        found.append(Pair(load, int(point)))
    return found


def _begun(space: Space, name: str, seed: int) -> Raced:
    return Raced(space.name, len(space.configs), len(space.loads_rps), name, seed, 0, [], 0, None)


def _found(
    space: Space, name: str, seed: int, raced: Raced, pairs: Sequence[Pair], served: int
) -> Transferred:
    missed = [bool(space.violates[pair] != 0) for pair in pairs]
    last = raced.steps[-1] if raced.steps else None
    reached = last is not None and last.regret <= NEAR
    return Transferred(
        space="",
        leave="",
        strategy=name,
        model=0,
        seed=seed,
        measurements=len(pairs) if reached else None,
        seconds=last.seconds if last is not None else 0.0,
        made=len(pairs),
        missed=sum(missed),
        explored=len(pairs) - served,
        missed_exploring=sum(missed[served:]),
        reward_lost=reward_lost(space, pairs),
        thinking_s=raced.thinking_s,
    )


def reward_lost(space: Space, pairs: Sequence[Pair]) -> float:
    """Return the share of the best reward that is lost over the horizon.

    Each window serves with what is measured in it; after the last, the best that was measured at
    the load serves, loads in turn.
    """
    earned, best, known = 0.0, 0.0, {load: list[int]() for load in range(len(space.loads_rps))}
    for window in range(HORIZON):
        if window < len(pairs):
            load, point = pairs[window]
            known[load].append(point)
        else:
            load = window % len(space.loads_rps)
            measured = known[load] or [0]
            point = min(
                measured, key=lambda one: float(np.nan_to_num(space.true_s[load, one], nan=9e9))
            )
        latency_s = float(space.true_s[load, point])
        earned += reward(None if np.isnan(latency_s) else latency_s, space.slo_s)
        best += reward(float(np.nanmin(space.true_s[load])), space.slo_s)
    return 1 - earned / best


HEAD = (
    "| strategy | races | within 5 % | measurements: median | p90 | seconds: median | p90 | "
    "SLO missed, all races | while exploring | reward lost |\n|" + "---|" * 10
)


def show(files: Sequence[Path]) -> None:
    """Print a table for each kind of space and what was left out."""
    races = [
        msgspec.json.decode(line, type=Transferred)
        for file in files
        for line in file.read_bytes().splitlines()
    ]
    for kind in dict.fromkeys((race.space, race.leave) for race in races):
        print(f"\n{kind[0].upper()}, leaving the {kind[1]} out:\n\n{HEAD}")
        for name in dict.fromkeys(race.strategy for race in races):
            print(_row(name, [r for r in races if (r.space, r.leave, r.strategy) == (*kind, name)]))


def _row(name: str, races: Sequence[Transferred]) -> str:
    if not races:
        return f"| {name} | 0 |" + " - |" * 8
    cells = []
    for values in (
        [race.measurements for race in races],
        [race.seconds if race.measurements else None for race in races],
    ):
        reached = np.array([np.inf if one is None else one for one in values], dtype=float)
        for quantile in (0.5, 0.9):
            value = float(np.quantile(reached, quantile, method="higher"))
            cells.append(f"{value:,.0f}" if np.isfinite(value) else "never")
    near = np.mean([race.measurements is not None for race in races])
    missed, made = sum(race.missed for race in races), sum(race.made for race in races)
    off, tried = sum(r.missed_exploring for r in races), sum(r.explored for r in races)
    lost = np.mean([race.reward_lost for race in races])
    return (
        f"| {name} | {len(races)} | {near:.0%} | {' | '.join(cells)} | {missed} of {made} | "
        f"{off} of {tried} ({off / max(1, tried):.1%}) | {lost:.1%} |"
    )


if __name__ == "__main__":
    main()
