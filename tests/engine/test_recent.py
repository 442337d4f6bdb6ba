"""What an engine remembers of its requests: the last ones, in order, and no more."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.engine.errors import QueueFullError
from autotune.engine.live import LiveEngine
from autotune.engine.live_source import LiveSource
from autotune.engine.recent import RecentRequests, in_order
from autotune.engine.source import Tensors


def one() -> Tensors:
    return {"x": np.zeros((1, 1))}


@given(kept=st.integers(1, 8), times=st.lists(st.floats(0.0, 1e3), max_size=30))
def test_the_last_are_kept_in_order_of_arrival(kept: int, times: list[float]) -> None:
    recent = RecentRequests(kept)
    for place, time_s in enumerate(times):
        recent.add(time_s, float(place))
    found = in_order(*recent.copied())
    last = sorted(range(max(0, len(times) - kept), len(times)), key=times.__getitem__)
    assert sorted(found.latency_ms.tolist()) == sorted(1e3 * place for place in last)
    assert np.all(np.diff(found.arrived_s) >= 0)


def test_what_was_answered_late_or_rejected_is_there_what_was_cancelled_is_not() -> None:
    source = LiveSource(max_queued=3)
    before_s = time.time()
    cancelled, _, late = source.submit(one()), source.submit(one()), source.submit(one(), 1e-9)
    with pytest.raises(QueueFullError):
        source.submit(one())
    cancelled.cancel()
    batch = source.take(3, 0.0)
    assert batch is not None
    source.complete(batch, batch.inputs, time.perf_counter())
    assert late.exception() is not None
    found = source.observed()
    assert np.isfinite(found.latency_ms).tolist() == [True, False, False]
    assert found.latency_ms[0] >= 0
    assert np.all(np.abs(found.arrived_s - before_s) < 60.0)
    assert source.counters().expired == source.counters().rejected == 1


def test_an_engine_tells_what_it_observed() -> None:
    with LiveEngine([lambda inputs: inputs], 1, 0.0) as engine:
        assert len(engine.observed().arrived_s) == 0
        for future in [engine.submit(one()) for _ in range(20)]:
            future.result(timeout=30.0)
        found = engine.observed()
    assert len(found.arrived_s) == len(found.latency_ms) == 20
    assert np.all(found.latency_ms > 0)
