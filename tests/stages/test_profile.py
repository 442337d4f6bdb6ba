"""The profile: what it does about corners that something disturbed."""

from collections.abc import Sequence

import numpy as np
import pytest
from flat import CORES, INFO, flat_law
from made import times_of
from profiling import AskedBench, subject

from autotune.outcome import ServiceTimes
from autotune.predict.forecast import make_lanes
from autotune.predict.predictor import Predictor
from autotune.predict.service_law import Corner
from autotune.space.axes import make_axes
from autotune.space.lattice import make_lattice
from autotune.spec import Family, ServingConfig, SessionShape
from autotune.stages.events import Event, Said
from autotune.stages.profile import (
    CORNER_TRIES,
    as_seen,
    profile,
    refine,
)
from autotune.stages.survey import make_basis
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

CROWDED = ServingConfig(replicas=CORES, intra_op_threads=1, spinning=False)
ALONE_S, STARVED_S = 0.010, 0.019


class StarvedBench(AskedBench):
    """For its first runs all replicas together get half of the CPU time that they ask for."""

    def __init__(self, starved_runs: int) -> None:
        super().__init__()
        self.left = starved_runs

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes:
        if request.pause_s == 0:
            self.asked.append((shape, request.batch_size))
        if shape == CROWDED.session_shape and self.left > 0:
            self.left -= 1
            return times_of(np.full(20, STARVED_S), ALONE_S)
        seconds_s = ALONE_S * request.batch_size
        return times_of(np.full(20, seconds_s), seconds_s)


def profiled(bench: Bench) -> tuple[Corner, list[Event]]:
    events: list[Event] = []
    found = profile(subject(bench, events), Family(), largest_batch=8)
    (crowded,) = [corner for corner in found.corners if corner.shape == CROWDED.session_shape]
    return crowded, events


def said(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Said)]


def test_a_disturbed_corner_is_measured_again_when_all_others_were() -> None:
    bench = StarvedBench(starved_runs=CORNER_TRIES)
    corner, events = profiled(bench)
    assert corner.steady
    assert corner.median_s == ALONE_S
    assert bench.asked[-1][0] == CROWDED.session_shape
    assert said(events) == []


def test_a_corner_that_stays_disturbed_is_said_to_be_and_counts_little() -> None:
    corner, events = profiled(StarvedBench(starved_runs=99))
    assert not corner.steady
    ((_, (state,)),) = as_seen([corner], [CROWDED])
    assert state.median_s == STARVED_S
    assert state.executions == 1
    assert len(said(events)) == 1
    assert "disturbed" in said(events)[0]
    assert "4 x 1 thread" in said(events)[0]


def test_batches_are_profiled_alone_and_not_further_than_they_pay() -> None:
    bench = StarvedBench(starved_runs=0)
    profiled(bench)
    assert {size for _, size in bench.asked} == {1, 4}
    assert {shape.replicas for shape, size in bench.asked if size > 1} == {1}


@pytest.mark.parametrize(("budget_s", "refines"), [(1e-6, False), (1e6, True)])
def test_what_is_profiled_for_the_answer_leaves_a_short_budget_to_measuring(
    budget_s: float, refines: bool
) -> None:
    law, bench = flat_law(), StarvedBench(starved_runs=0)
    lattice = make_lattice(make_axes(CORES, True, 100), CORES, 0, None)
    lanes = make_lanes(law, lattice.configs, INFO)
    predictor = Predictor(make_basis(law, lanes, lattice, [np.linspace(0.0, 50.0, 500)], 0.95))
    refine(subject(bench, [], budget_s), lattice.configs, predictor)
    assert bool(bench.asked) == refines
