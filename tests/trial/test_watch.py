"""The parent's eye on a run, over a log that is filled by hand."""

import math
import time

import numpy as np
import pytest
from made import QUIET

from autotune.request_log import RequestLog, new_log
from autotune.spec import RUNTIME_DEFAULT, TrialSpec
from autotune.stats.judge import Decision, Glimpse
from autotune.trial import watch as watch_module
from autotune.trial.watch import Watch
from autotune.trial.wire import Served

ARRIVALS_S = [0.1, 0.2, 0.3, 0.4, 5.0]
SERVED = Served(duration_s=2.0, cpu_s=1.0, joules=None, peak_memory_bytes=1, disturbance=QUIET)


class Says:
    """A judge that gives its answers one after the other, and remembers what it saw."""

    def __init__(self, *answers: Decision) -> None:
        self.answers = list(answers)
        self.glimpses: list[Glimpse] = []

    def decide(self, glimpse: Glimpse) -> Decision:
        self.glimpses.append(glimpse)
        return self.answers.pop(0)


def watching(judge: Says | None, grace_s: float = 1.0) -> tuple[Watch, RequestLog]:
    log = new_log(len(ARRIVALS_S))
    trial = TrialSpec(config=RUNTIME_DEFAULT, arrivals_s=ARRIVALS_S, grace_s=grace_s)
    return Watch(trial, log, judge), log


def set_clock(log: RequestLog, elapsed_s: float) -> None:
    log.control[0] = time.perf_counter() - elapsed_s


def serve(log: RequestLog, first: int, past: int, ready_s: float = 0.0) -> None:
    """Serve requests one by one, each at once and in 10 ms."""
    scheduled_s = np.array(ARRIVALS_S[first:past])
    log.ready_s[first:past] = ready_s
    log.claimed_s[first:past] = scheduled_s
    log.started_s[first:past] = scheduled_s
    log.finished_s[first:past] = scheduled_s + 0.01
    log.batch_size[first:past] = 1


def test_before_the_clock_starts_it_only_comes_back_soon() -> None:
    judge = Says()
    watch, log = watching(judge)
    assert 0 < (watch() or 0) <= 0.1
    assert judge.glimpses == []
    assert log.stop_after_s == math.inf


def test_looks_are_spaced_by_the_length_of_the_run() -> None:
    watch, log = watching(Says("go_on", "go_on"), grace_s=1000.0)
    set_clock(log, 0.5)
    soon_s = watch() or 0.0
    set_clock(log, 100.0)
    assert 0.05 <= soon_s < 1 < 5 < (watch() or 0.0) < 20


def test_a_look_shows_what_has_arrived_and_which_found_a_replica_free() -> None:
    judge = Says("go_on")
    watch, log = watching(judge)
    serve(log, 0, 2)
    serve(log, 2, 3, ready_s=0.35)
    log.ready_s[3] = log.started_s[3] = 0.4  # taken, not finished
    set_clock(log, 1.0)
    watch()
    (seen,) = judge.glimpses
    assert seen.elapsed_s == pytest.approx(1.0, abs=0.5)
    assert seen.scheduled_s.tolist() == ARRIVALS_S[:4]
    assert seen.finished_s[:3].tolist() == pytest.approx([0.11, 0.21, 0.31])
    assert math.isnan(seen.finished_s[3])
    assert seen.fresh.tolist() == [True, True, False, False]


def test_of_a_batch_only_the_first_begins_anew() -> None:
    judge = Says("go_on")
    watch, log = watching(judge)
    serve(log, 0, 3)
    log.started_s[:3] = 0.3
    set_clock(log, 1.0)
    watch()
    assert judge.glimpses[0].fresh.tolist() == [True, False, False, False]


@pytest.mark.parametrize("decision", ["passed", "failed"])
def test_after_a_verdict_what_has_arrived_is_still_served_and_nothing_more(
    decision: Decision,
) -> None:
    watch, log = watching(Says("go_on", decision))
    set_clock(log, 0.15)
    watch()
    assert log.stop_after_s == math.inf
    set_clock(log, 0.35)
    watch()
    assert 0.35 <= log.stop_after_s < 4
    serve(log, 0, 4 if log.stop_after_s > 0.4 else 3)
    found = watch.measured(SERVED)
    assert found.stopped == decision
    assert found.lost == 0


def test_a_queue_that_grows_is_abandoned_and_what_had_arrived_is_lost() -> None:
    watch, log = watching(Says("diverged"))
    serve(log, 0, 1)
    set_clock(log, 1.0)
    watch()
    assert log.stop_after_s == -math.inf
    found = watch.measured(SERVED)
    assert found.stopped == "diverged"
    assert (found.served, found.lost) == (1, 3)  # the fifth was never offered


def test_a_decided_run_is_not_judged_again() -> None:
    judge = Says("passed")
    watch, log = watching(judge)
    set_clock(log, 1.0)
    watch()
    watch()
    assert len(judge.glimpses) == 1


def test_grace_is_counted_from_the_last_arrival() -> None:
    watch, log = watching(None, grace_s=1.0)
    serve(log, 0, 4)
    set_clock(log, 5.5)
    watch()
    assert log.stop_after_s == math.inf
    set_clock(log, 6.1)
    watch()
    assert log.stop_after_s == -math.inf
    found = watch.measured(SERVED)
    assert found.stopped == "ended"
    assert (found.served, found.lost) == (4, 1)


def test_a_drain_is_given_up_when_its_grace_is_over_and_its_rest_is_lost() -> None:
    watch, log = watching(Says("passed"), grace_s=1.0)
    serve(log, 0, 1)
    set_clock(log, 0.45)
    watch()
    stopped_s = log.stop_after_s
    assert 0.45 <= stopped_s < 4
    set_clock(log, stopped_s + 0.5)
    watch()
    assert log.stop_after_s == stopped_s
    set_clock(log, stopped_s + 1.1)
    watch()
    assert log.stop_after_s == -math.inf
    found = watch.measured(SERVED)
    assert found.stopped == "passed"
    assert (found.served, found.lost) == (1, 3)


def test_an_abandoned_run_stays_abandoned() -> None:
    watch, log = watching(Says("diverged"))
    set_clock(log, 1.0)
    watch()
    set_clock(log, 30.0)
    watch()
    assert log.stop_after_s == -math.inf
    assert watch.measured(SERVED).lost == 4


def test_requests_taken_while_the_stop_was_written_do_not_make_others_unlost() -> None:
    watch, log = watching(Says("passed"))
    set_clock(log, 1.0)
    watch()
    serve(log, 0, 5)
    found = watch.measured(SERVED)
    assert (found.served, found.lost) == (5, 0)


def test_the_outcome_outlives_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "disturbed_because", lambda one, cores: ["why"])
    watch, log = watching(None)
    serve(log, 0, 5)
    found = watch.measured(SERVED)
    for column in log:
        column.fill(-1.0)
    assert found.finished_s.tolist() == pytest.approx([s + 0.01 for s in ARRIVALS_S])
    assert found.disturbed == ["why"]
    assert (found.duration_s, found.cpu_s) == (2.0, 1.0)


def test_a_run_that_should_have_ended_long_ago_is_given_up() -> None:
    watch, log = watching(None)
    set_clock(log, 10.0)
    assert watch() is not None  # what executes may still take its time
    set_clock(log, 60.0)
    assert watch() is None
