"""What a search tells of its stages while they go on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flat import INFO
from made import times_of
from msgspec.structs import replace
from scripted import ScriptedBench

from autotune.arrivals import Traffic
from autotune.outcome import ModelInfo, ServiceTimes
from autotune.probes.cores import Cores
from autotune.records import Failed
from autotune.space.axes import make_axes
from autotune.space.lattice import make_lattice
from autotune.spec import SessionShape, Slo
from autotune.stages import survey as survey_module
from autotune.stages.confirm import ROUNDS, confirm
from autotune.stages.context import Context
from autotune.stages.events import Doing, Event, Loading, Predicted, Profiled, Tried
from autotune.stages.explore import explore
from autotune.stages.goal import start
from autotune.stages.journal import Journal
from autotune.stages.question import Deadline, Question
from autotune.stages.survey import MAX_LEFT_OUT, left_out, survey
from autotune.strategy.protocol import Search
from autotune.trial.wire import ClosedLoop

LOADS_RPS = [20.0, 60.0]


class Steady(ScriptedBench):
    """Every execution takes 10 ms."""

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        return times_of(np.full(20, 0.01), 0.01)


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[list[Event], Search]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_module, "usable_cores", lambda: Cores(affinity=2, quota=None))
        yield search(replace(INFO, batchable=False, default_threads=2))


def search(info: ModelInfo) -> tuple[list[Event], Search]:
    bench, events, deadline = Steady(info), list[Event](), Deadline(60.0)
    question = Question(
        model=bench.model,
        name="scripted",
        slo=Slo(latency_ms=50),
        traffics=[Traffic(load_rps=load_rps) for load_rps in LOADS_RPS],
        budget_s=60.0,
        max_trials=4,
        seed=0,
        output=Path("unused"),
    )
    journal = Journal(question.slo, deadline)
    context = Context(question, bench, journal, deadline, events.append)
    ground = survey(context)
    strategy = start(question, ground)
    explore(context, ground, strategy)
    confirm(context, ground, strategy)
    return events, strategy


def test_the_model_comes_first_and_nothing_is_measured_unannounced(
    told: tuple[list[Event], Search],
) -> None:
    events, _ = told
    assert isinstance(events[0], Loading)
    announced = ""
    for event in events:
        if isinstance(event, Doing):
            announced = event.what
        if isinstance(event, Profiled):
            assert announced == f"profile: {event.label}"
        if isinstance(event, Tried):
            what = f"{event.phase} {event.load_rps:g}/s: {event.config.describe()}"
            assert announced == what


def test_after_each_measurement_all_loads_are_told_as_the_search_sees_them(
    told: tuple[list[Event], Search],
) -> None:
    events, strategy = told
    (predicted,) = [event for event in events if isinstance(event, Predicted)]
    assert predicted.loads_rps == LOADS_RPS
    searched = [event for event in events if isinstance(event, Tried) and event.phase == "search"]
    assert len(searched) == 4
    for event in searched:
        assert len(event.standings) == len(LOADS_RPS)
        assert event.standings[LOADS_RPS.index(event.load_rps)].best == event.best
    assert [one.doubt for one in searched[-1].standings] == list(strategy.doubts())
    first = searched[0].standings
    assert sum(one.doubt is None for one in first) == 1  # the other load is not measured yet


def test_rounds_are_counted_and_what_they_showed_is_pooled(
    told: tuple[list[Event], Search],
) -> None:
    events, _ = told
    rounds = [event for event in events if isinstance(event, Tried) and event.phase == "confirm"]
    config = rounds[0].config
    mine = [one for one in rounds if one.config == config and one.load_rps == LOADS_RPS[0]]
    assert [one.round_number for one in mine] == list(range(1, ROUNDS + 1))
    assert {one.rounds for one in mine} == {ROUNDS}
    requests = [one.so_far.requests for one in mine if one.so_far is not None]
    assert requests == sorted(set(requests))
    assert len(requests) == ROUNDS


def test_of_many_configurations_that_cannot_be_tried_a_few_are_named() -> None:
    axes = make_axes(8, True, 50.0)
    assert left_out(make_lattice(axes, 8, 1 << 20, None)) == []
    texts = left_out(make_lattice(axes, 8, 1 << 20, 4 << 20))
    assert len(texts) == MAX_LEFT_OUT + 1
    assert "MiB left" in texts[0]
    assert texts[-1].endswith("more, all named in the file")
