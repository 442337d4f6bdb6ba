"""What machine types that are searched side by side save by learning from each other.

    python benchmarks/fleet_lessons.py [--models 5] [--seeds 2] [--points 150] [--cores 8,16,32,64]

A model on servers on paper (`autotune.paper`), of which what is true is known: each is searched by
the ordinary strategy with the ordinary profile, a measurement each in turn, until it is settled.
Nothing is known before: the lessons that come with autotune are left out.

    apart    no search learns from another
    beside   each teaches the others when a search does (at first, and when its measurements have
             doubled), and hears of them before each of its own
    after    each begins when those before it are settled, and knows of them

What is counted are measurements until it settled, and how much slower than the best the answer is
at its worst load. The same models, machines, seeds and errors of measurements in all three.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from msgspec import structs
from search.spaces import NOISE, Space, on_paper

from autotune.learn.places import task_of
from autotune.learn.teaching import taught_latency
from autotune.lesson import Lesson, SeenLatency
from autotune.paper.machines import cpu_paper
from autotune.stages.goal import MIN_NOISE
from autotune.stages.learning import Past, Pupil
from autotune.stages.lessons import seen_times
from autotune.stages.survey import teach_law
from autotune.strategy.protocol import Observation, Pair, Prediction, SearchSettings
from autotune.strategy.rrl import Rrl

MOST = 60
"""Measurements of a search."""
NEAR = 0.05
WAYS = ("apart", "beside", "after")


class Ended(NamedTuple):
    """One search."""

    measurements: int
    regret: float
    """By how much its answer is slower than the best, as a share, at the worst load."""
    hearing_s: float
    """Processor time spent on what others taught."""


class Searcher:
    """One machine type under search."""

    def __init__(self, space: Space, about: Lesson, seed: int) -> None:
        """Profile it, and predict.

        Args:
            space: where it is searched.
            about: what it has to teach but for what is seen.
            seed: of profile, measurements and strategy.
        """
        self._space, self._about = space, about
        foresight, self._measure = space.foresee(seed), space.measuring(seed)
        assert foresight.predictor is not None
        self._predictor = foresight.predictor
        past = Past(machine=about.machine)
        self._pupil = Pupil(past, about.model, task_of(about), lambda event: None)
        loads = np.log2(np.array(space.loads_rps))
        settings = SearchSettings(seed=seed)
        self._search = Rrl(space.coordinates, loads, self._predicted(), settings=settings)
        self._told: list[tuple[Pair, float]] = []
        self.measurements, self.is_over = 0, False
        self._hearing_s = 0.0

    def step(self) -> None:
        """Measure what is asked for; over, where nothing is."""
        pair = None if self.measurements >= MOST else self._search.ask()
        if pair is None:
            self.is_over = True
            return
        self.measurements += 1
        reading = self._measure(pair.load, pair.point)
        if reading.value_s is None:
            self._search.tell(pair, Observation(None))
            return
        self._predictor.learn([(pair.point, reading.states)])
        self._search.expect(self._predicted())
        self._search.tell(pair, Observation(float(np.log(reading.value_s)), MIN_NOISE))
        self._told.append((pair, reading.value_s))

    def hear(self, lessons: Mapping[str, Lesson]) -> None:
        """Learn from others, as `autotune.stages.explore.take_in`."""
        started_s = time.process_time()
        if self._pupil.hear(lessons):
            teach_law(self._pupil, self._predictor, self._space.configs)
            self._search.expect(self._predicted())
        self._hearing_s += time.process_time() - started_s

    @property
    def learnt_from(self) -> int:
        """How many others it learnt from."""
        experience = self._pupil.experience
        return 0 if experience is None else len(experience.lessons)

    def lesson(self) -> Lesson:
        """Return what it has to teach by now."""
        latencies = [
            SeenLatency(
                load_rps=self._space.loads_rps[pair.load],
                config=self._space.configs[pair.point],
                predicted_ms=1e3 * float(self._predictor.predicted_s[pair]),
                measured_ms=1e3 * value_s,
                noise=NOISE,
            )
            for pair, value_s in self._told
        ]
        times = seen_times(self._predictor, self._space.configs)
        return structs.replace(self._about, times=times, latencies=latencies)

    def ended(self) -> Ended:
        """Return how it went."""
        loads = range(len(self._space.loads_rps))
        best = [self._search.best(load)[:1] for load in loads]
        regrets = [
            float(self._space.regret[load, points[0]]) if points else np.inf
            for load, points in zip(loads, best, strict=True)
        ]
        return Ended(self.measurements, max(regrets), self._hearing_s)

    def _predicted(self) -> Prediction:
        predictor, space, taught = self._predictor, self._space, None
        if (experience := self._pupil.experience) is not None:
            seen = predictor.predicted_s, predictor.service_doubt
            taught = taught_latency(experience, space.loads_rps, space.configs, *seen)
        return Prediction(np.log(predictor.predicted_s), predictor.doubt, taught)


def main() -> None:
    """Search, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--points", type=int, default=150)
    parser.add_argument("--cores", default="8,16,32,64")
    given = parser.parse_args()
    cores = [int(one) for one in given.cores.split(",")]
    found: dict[str, list[list[Ended]]] = {way: [] for way in WAYS}
    for model in range(given.models):
        for seed in range(given.seeds):
            for way in WAYS:
                made = [searcher(one, given.points, model, seed) for one in cores]
                run(made, way)
                found[way].append([one.ended() for one in made])
    print("| types | measurements of the n-th type | of all | within 5 % | worst | hearing, s |")
    print("|---|" + "---|" * 5)
    for way in WAYS:
        _tell(way, found[way])


@cache
def _space(cores: int, points: int, model: int) -> tuple[Space, Lesson]:
    space = on_paper(cpu_paper(cores, points, model))
    assert space.about is not None
    return space, space.about(space.foresee(0))


def searcher(cores: int, points: int, model: int, seed: int) -> Searcher:
    """Return the search of a model, drawn by its number, on a server of so many cores."""
    return Searcher(*_space(cores, points, model), seed)


def run(searchers: Sequence[Searcher], way: str) -> None:
    """Search all in one of the `WAYS`."""
    taught: dict[str, Lesson] = {}
    if way == "after":
        for number, one in enumerate(searchers):
            one.hear(taught)
            while not one.is_over:
                one.step()
            taught[str(number)] = one.lesson()
        return
    if way == "beside":
        taught = {str(number): one.lesson() for number, one in enumerate(searchers)}
    while running := [one for one in enumerate(searchers) if not one[1].is_over]:
        for number, one in running:
            one.hear({sender: it for sender, it in taught.items() if sender != str(number)})
            one.step()
            if way == "beside" and (one.is_over or one.measurements.bit_count() == 1):
                taught[str(number)] = one.lesson()


def _tell(way: str, fleets: Sequence[Sequence[Ended]]) -> None:
    by_type = [
        f"{np.mean([one.measurements for one in those]):.1f}" for those in zip(*fleets, strict=True)
    ]
    every = [one for fleet in fleets for one in fleet]
    near = sum(one.regret <= NEAR for one in every)
    total = np.mean([sum(one.measurements for one in fleet) for fleet in fleets])
    worst = 100 * max(one.regret for one in every)
    hearing_s = np.mean([sum(one.hearing_s for one in fleet) for fleet in fleets])
    print(
        f"| {way} | {', '.join(by_type)} | {total:.1f} | {near} of {len(every)} | {worst:.0f} % "
        f"| {hearing_s:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    started_s = time.monotonic()
    main()
    print(f"\n{time.monotonic() - started_s:.0f} s in all")
