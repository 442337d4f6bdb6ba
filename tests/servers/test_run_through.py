"""How many connections a schedule needs, and what a log makes of what answers told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.request_log import new_log
from autotune.servers.drive import LEAST_SENDERS, MOST_SENDERS, Driven
from autotune.servers.run import note_executions, senders_for
from autotune.spec import Slo

SLO = Slo(latency_ms=100.0)


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=300).map(sorted))
def test_connections_hold_what_arrives_within_three_slos(arrivals_s: list[float]) -> None:
    scheduled_s = np.array(arrivals_s)
    most = max(int(np.sum((scheduled_s >= at) & (scheduled_s < at + 0.3))) for at in arrivals_s)
    found = senders_for(scheduled_s, SLO)
    assert LEAST_SENDERS <= found <= MOST_SENDERS
    assert found == min(max(most, LEAST_SENDERS), MOST_SENDERS)


def test_an_execution_is_the_end_of_what_a_request_took() -> None:
    log = new_log(3)
    log.ready_s[:] = [0.0, np.inf, np.inf]  # the first was sent alone
    log.claimed_s[:] = log.started_s[:] = [0.001, 0.011, 0.021]
    log.finished_s[:] = [0.050, 0.060, 0.070]
    told = [{"inference_ms": 9.0, "batch_size": 2}, {"inference_ms": 9.0}, {}]
    scheduled_s = np.array([0.0, 0.010, 0.020])
    sent_s, finished_s = log.claimed_s.copy(), log.finished_s.copy()
    note_executions(log, Driven(scheduled_s, sent_s, finished_s, told, []))
    assert log.started_s == pytest.approx([0.041, 0.051, 0.021])
    assert log.batch_size.tolist() == [2.0, 1.0, 1.0]
    assert log.ready_s == pytest.approx([0.0, 0.051, 0.021])
    assert log.claimed_s == pytest.approx([0.001, 0.051, 0.021])


def test_an_execution_does_not_begin_before_its_request_was_sent() -> None:
    log = new_log(1)
    log.ready_s[:], log.claimed_s[:], log.started_s[:], log.finished_s[:] = 0.0, 0.01, 0.01, 0.02
    driven = Driven(np.zeros(1), np.full(1, 0.01), np.full(1, 0.02), [{"inference_ms": 50.0}], [])
    note_executions(log, driven)
    assert log.started_s[0] == 0.01
