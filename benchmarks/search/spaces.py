"""What is raced on: a lattice, its loads, what a measurement says and costs, and what is true."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autotune import model_file
from autotune.arrivals import Traffic
from autotune.learn.experience import Experience
from autotune.learn.places import Task
from autotune.learn.teaching import taught_law
from autotune.lesson import Lesson
from autotune.outcome import Samples
from autotune.paper.machines import Paper, corner_s
from autotune.predict.forecast import make_lanes, sustainable_rps
from autotune.predict.predictor import Basis, Predictor
from autotune.predict.service_law import Corner, fit_law
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, SessionShape
from autotune.stages.drive import Window, run_trial
from autotune.stages.explore import CHILD_START_S
from autotune.stages.lessons import seen_times
from autotune.stages.profile import as_seen, refine_with
from autotune.stages.survey import forecast_arrivals, make_basis
from autotune.stats.judge import Judge
from autotune.stats.percentiles import percentile
from autotune.stats.service import ServiceState, busy_with_room, executions_of, service_states
from autotune.trial.bench import MAX_CHILDREN, Bench
from search.profiles import read_profiles
from search.record import Recorded
from search.table import OVERHEAD_S, OVERLOADED, Table, over_best

NOISE = 0.05
"""Standard error (log) of a measurement on paper; recorded ones have their own."""
STATE_NOISE = 0.02
WINDOW_S = 1.0
LIVE_S = 1.0
"""Of a measurement live."""


class Reading(NamedTuple):
    """What one measurement said."""

    value_s: float | None
    """Latency; None: the configuration failed."""
    is_bound: bool
    """Whether it is at least that: requests were lost."""
    seconds: float
    """That it took, sessions apart."""
    states: list[ServiceState]


Measure = Callable[[int, int], Reading]
"""A load and a point -> what a measurement says."""


class Foresight(NamedTuple):
    """What a profile leads to expect."""

    predictor: Predictor | None
    predicted_s: Samples
    """Shape (loads, points)."""
    profile_s: float
    warm: list[SessionShape]
    """The sessions that the profile leaves open."""
    experience: Experience | None = None
    """What lessons say of this search; None: there are none."""


class Space(NamedTuple):
    """A space to race on; arrays of shape (loads, points)."""

    name: str
    configs: Sequence[ServingConfig]
    coordinates: Samples
    loads_rps: list[float]
    slo_s: float
    true_s: Samples
    """nan where the configuration fails."""
    regret: Samples
    """How much slower than the best, as a share; as far as that is known."""
    violates: Samples
    """1 where the SLO is missed."""
    measuring: Callable[[int], Measure]
    """By seed."""
    foresee: Callable[[int], Foresight]
    """By seed."""
    load_s: float
    """Seconds to load one replica."""
    about: Callable[[Foresight], Lesson] | None = None
    """What a search has to teach but for its measurements; None: it is not told."""


class Clock:
    """Seconds of measuring: runs, and opening sessions that are not warm."""

    def __init__(self, space: Space) -> None:
        """Start with nothing loaded."""
        self._space = space
        self._warm: OrderedDict[SessionShape, None] = OrderedDict()
        self.seconds = 0.0

    def keep(self, shape: SessionShape) -> None:
        """Know sessions that stand already."""
        self._warm[shape] = None

    def opening_s(self, config: ServingConfig) -> float:
        """Return the seconds that opening its sessions would take now."""
        if config.session_shape in self._warm:
            return 0.0
        return CHILD_START_S + config.replicas * self._space.load_s

    def spend(self, config: ServingConfig, seconds: float) -> None:
        """Count a run."""
        self.seconds += seconds + self.opening_s(config)
        self._warm[config.session_shape] = None
        self._warm.move_to_end(config.session_shape)
        if len(self._warm) > MAX_CHILDREN:
            self._warm.popitem(last=False)


class Places:
    """The points as places of a product lattice, for searches that know no other."""

    def __init__(self, coordinates: Samples) -> None:
        """Find each axis's values."""
        found = [np.unique(column, return_inverse=True) for column in coordinates.T]
        self.lattice = {f"knob{i}": [float(v) for v in axis] for i, (axis, _) in enumerate(found)}
        self.shape = tuple(len(axis) for axis, _ in found)
        self._places = list(zip(*(of.tolist() for _, of in found), strict=True))
        flat = np.ravel_multi_index([of for _, of in found], self.shape)
        self._order = np.argsort(flat)
        self._flat = flat[self._order]

    def place(self, point: int) -> tuple[int, ...]:
        """Return where a point is."""
        return self._places[point]

    def point(self, place: tuple[int, ...]) -> int | None:
        """Return the point at a place; of places that mean the same, the one; None: not legal.

        A lone thread cannot spin and a batch of one does not wait: these are the axes 3 and 5.
        """
        index = list(place)
        if index[4] == 0:
            index[5] = 0
        if index[1] == 0 and index[2] == 0:
            index[3] = 0
        wanted = np.ravel_multi_index(index, self.shape)
        at = int(np.searchsorted(self._flat, wanted))
        found = at < len(self._flat) and self._flat[at] == wanted
        return int(self._order[at]) if found else None


def on_paper(paper: Paper, lessons: Sequence[Lesson] = ()) -> Space:
    """Return a machine on paper as a space; measurements err by `NOISE`.

    Args:
        paper: the machine.
        lessons: of searches that were made before.
    """

    def measure(rng: np.random.Generator, load: int, point: int) -> Reading:
        true_s = paper.true_s[load, point]
        if np.isnan(true_s):
            return Reading(None, False, OVERHEAD_S, [])
        seconds = WINDOW_S + OVERHEAD_S
        states = [
            state._replace(median_s=state.median_s * float(np.exp(rng.normal(0, STATE_NOISE))))
            for state in paper.states(load, point)
        ]
        return Reading(float(true_s * np.exp(rng.normal(0, NOISE))), False, seconds, states)

    def foresee(seed: int) -> Foresight:
        spent_s = paper.profile_s
        warm = [paper.corners[-1].shape]
        if paper.basis is None:
            return Foresight(None, paper.predicted_s, spent_s, warm)
        task = _task(paper, paper.basis)
        experience = Experience(lessons, *paper.about, task) if lessons else None
        basis = paper.basis
        if experience is not None:
            taught = taught_law(experience, basis.lanes, basis.shapes, paper.configs)
            basis = basis._replace(taught=taught)
        predictor, rng = Predictor(basis), np.random.default_rng((seed, 3))
        predictor.learn(as_seen(paper.corners, paper.configs))

        def measure(shape: SessionShape, batch_size: int) -> Corner | None:
            nonlocal spent_s
            if shape not in warm[1:]:
                warm.append(shape)
                spent_s += CHILD_START_S + shape.replicas * paper.load_s
            corner = paper.corner(rng, shape, shape.replicas, batch_size)
            spent_s += corner_s(corner)
            return corner

        refine_with(measure, paper.configs, predictor)
        return Foresight(predictor, predictor.predicted_s, spent_s, warm, experience)

    return Space(
        name=paper.name,
        configs=paper.configs,
        coordinates=paper.coordinates,
        loads_rps=paper.loads_rps,
        slo_s=paper.slo.latency_ms / 1e3,
        true_s=paper.true_s,
        regret=over_best(paper.true_s),
        violates=(paper.over_slo > 1 - paper.slo.quantile).astype(float),
        measuring=lambda seed: partial(measure, np.random.default_rng((seed, 1))),
        foresee=foresee,
        load_s=paper.load_s,
        about=partial(_about, paper),
    )


def _about(paper: Paper, foresight: Foresight) -> Lesson:
    """What a search on a machine on paper has to teach, but for its measurements."""
    if paper.basis is None or foresight.predictor is None:
        raise ValueError("too many points to learn from")
    task = _task(paper, paper.basis)
    return Lesson(
        model=paper.about[0],
        machine=paper.about[1],
        cores=task.cores,
        default_threads=paper.default_threads,
        slo=paper.slo,
        base_s=task.base_s,
        sustainable_rps=task.sustainable_rps,
        times=seen_times(foresight.predictor, paper.configs),
        latencies=[],
    )


def _task(paper: Paper, basis: Basis) -> Task:
    sustained_rps = sustainable_rps(
        basis.lanes, basis.law, paper.slo.latency_ms / 1e3, basis.quantile
    )
    return Task(paper.about[1].cores, paper.default_threads, basis.law.base_s, sustained_rps)


def recorded(path: Path) -> Space:
    """Return a recorded table as a space.

    A measurement says what is true of a point, as in any race on a table: single runs differ by
    more than a race could be decided by. What it takes, and the executions it shows, are a run's.
    """
    table = Table(path)
    made, profiles = table.made, read_profiles(path)
    slo_s = made.slo.latency_ms / 1e3

    def measure(seed: int, load: int, point: int) -> Reading:
        runs = table.runs[load, point]
        run = runs.get((seed + load) % made.rounds) or next(iter(runs.values()))
        value_s = float(table.true_s[load, point])
        states = _with_room(run.states, table.lattice.configs[point], made)
        return Reading(value_s, value_s >= OVERLOADED * slo_s, run.seconds, states)

    def foresee(seed: int) -> Foresight:
        one = profiles[seed % len(profiles)]
        law = fit_law(one.corners, made.axes.cores, one.paced)
        lanes = make_lanes(law, table.lattice.configs, made.info)
        arrivals_s = [
            forecast_arrivals(Traffic(load_rps=rps), seed, run_s)
            for rps, run_s in zip(made.loads_rps, made.seconds, strict=True)
        ]
        predictor = Predictor(make_basis(law, lanes, table.lattice, arrivals_s, 0.95))
        predictor.learn(as_seen(one.corners, table.lattice.configs))
        warm = [one.corners[-1].shape]
        return Foresight(predictor, predictor.predicted_s, one.seconds, warm)

    return Space(
        name=table.name,
        configs=table.lattice.configs,
        coordinates=table.lattice.coordinates,
        loads_rps=made.loads_rps,
        slo_s=slo_s,
        true_s=table.true_s,
        regret=table.regret,
        violates=(table.true_s > slo_s).astype(float),
        measuring=lambda seed: partial(measure, seed),
        foresee=foresee,
        load_s=made.info.load_s,
    )


@contextlib.contextmanager
def live(path: Path, space: Space) -> Iterator[Space]:
    """Yield the recorded space with measurements made now; profiles as well."""
    made = Table(path).made
    model = ModelSpec(path=str(model_file.locate(made.model)), shapes=made.info.sample_shapes)
    with Bench(model) as bench:
        bench.inspect()

        def measure(seed: int, load: int, point: int) -> Reading:
            traffic = Traffic(load_rps=made.loads_rps[load])
            judge = Judge(made.slo, traffic.mean_rps, stop_when=frozenset({"diverged"}))
            window = Window(LIVE_S, (seed, load))
            outcome, seconds = run_trial(bench, space.configs[point], traffic, window, judge)
            if isinstance(outcome, Failed):
                return Reading(None, False, seconds, [])
            value_s = percentile(outcome.latency_s, outcome.lost, 0.95)
            bound_s = OVERLOADED * made.slo.latency_ms / 1e3
            lost = not np.isfinite(value_s)
            states = service_states(executions_of([outcome]))
            states = _with_room(states, space.configs[point], made)
            return Reading(bound_s if lost else value_s, lost, seconds, states)

        yield space._replace(
            name=f"{space.name}, live", measuring=lambda seed: partial(measure, seed)
        )


def _with_room(
    states: list[ServiceState], config: ServingConfig, made: Recorded
) -> list[ServiceState]:
    """What a search would learn from."""
    room = busy_with_room(config.session_shape, made.axes.cores, made.info.default_threads)
    return [state for state in states if state.busy <= room]
