"""What a tuned file keeps of lanes predicts what they predicted."""

import msgspec
import numpy as np
import pytest
from flat import INFO, flat_law

from autotune.predict.forecast import make_lanes
from autotune.predict.kept_lanes import keep_lanes, lanes_of
from autotune.predict.queue_simulation import simulate
from autotune.spec import ServingConfig

CONFIGS = [
    ServingConfig(replicas=2, intra_op_threads=1, spinning=False),
    ServingConfig(replicas=1, intra_op_threads=4, max_batch_size=6, batch_timeout_ms=20.0),
    ServingConfig(replicas=3, intra_op_threads=4, spinning=True),
]
LAW = flat_law()
LANES = make_lanes(LAW, CONFIGS, INFO)
OPENED = {CONFIGS[1].session_shape: 0.25}
MODEL = keep_lanes(CONFIGS, LANES, LAW, INFO.default_threads, OPENED)


def test_the_same_latencies_are_simulated_from_what_was_kept() -> None:
    read = msgspec.json.decode(msgspec.json.encode(MODEL), type=type(MODEL))
    arrivals_s = np.cumsum(np.random.default_rng(3).exponential(0.05, 2000))
    before_s = simulate(arrivals_s, LANES, LAW.jitter, seed=0)
    after_s = simulate(arrivals_s, lanes_of(read, read.configs), np.array(read.jitter), seed=0)
    for quantile in (0.5, 0.95, 0.99):
        kept_s = np.quantile(after_s, quantile, axis=1)
        assert kept_s == pytest.approx(np.quantile(before_s, quantile, axis=1), rel=0.02)


def test_each_configuration_keeps_its_own_and_may_recur() -> None:
    twice = lanes_of(MODEL, [MODEL.configs[1], MODEL.configs[0], MODEL.configs[1]])
    assert list(twice.replicas) == [1, 2, 1]
    assert twice.alone_s[0] == pytest.approx(LANES.alone_s[1], rel=1e-3)
    assert twice.crowding[1, :3] == pytest.approx(LANES.crowding[0, :3], rel=1e-3)
    assert [one.open_s for one in MODEL.configs] == [None, 0.25, None]


def test_one_replica_alone_is_kept_for_every_doubling_of_threads_up_to_the_cores() -> None:
    assert [one.threads for one in MODEL.alone] == [1, 2, 4]
    for one in MODEL.alone:
        config = ServingConfig(intra_op_threads=one.threads, spinning=False)
        expected_s = LAW.batch_s(config, INFO.default_threads, np.array([1.0, 2.0]))
        assert one.batch_s[:2] == pytest.approx(list(expected_s), rel=1e-3)


def test_lanes_without_rests_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="rest"):
        keep_lanes(CONFIGS, LANES._replace(rests_s=None), LAW, 1, {})
