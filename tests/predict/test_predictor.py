"""Predictions that learn: a law that is wrong about sessions is put right by what they showed."""

import msgspec
import numpy as np
import pytest
from flat import INFO, flat_law

from autotune.outcome import Samples
from autotune.predict.correction import KNOWN, corrected, fit_correction, spread_corrections
from autotune.predict.forecast import make_lanes
from autotune.predict.predictor import Basis, Predictor
from autotune.predict.queue_simulation import Lanes
from autotune.predict.service_law import ServiceLaw
from autotune.spec import ServingConfig
from autotune.stats.service import ServiceState

PLAIN = ServingConfig(intra_op_threads=1, spinning=False)


def change(**knobs: float) -> ServingConfig:
    return msgspec.structs.replace(PLAIN, **knobs)


CONFIGS = [
    PLAIN,
    change(max_batch_size=4),
    change(replicas=2),
    change(replicas=2, max_batch_size=4),
    change(replicas=4),
]
SHAPES = np.array([0, 0, 1, 1, 2])
PLACES = np.array([[0.0], [1.0], [2.0]])


def lanes_and_law() -> tuple[Lanes, ServiceLaw]:
    law = flat_law()
    return make_lanes(law, CONFIGS, INFO), law


def predictor(loads_rps: tuple[float, ...] = (10.0, 35.0)) -> Predictor:
    lanes, law = lanes_and_law()
    schedule = np.cumsum(np.random.default_rng(0).exponential(1.0, 800))
    arrivals_s = [schedule / load_rps for load_rps in loads_rps]
    return Predictor(Basis(lanes, law, SHAPES, PLACES, arrivals_s, 0.95))


def seen(lane: int, factor: float, busy: int = 1) -> list[ServiceState]:
    lanes, _ = lanes_and_law()
    one_s = float(lanes.fixed_s[lane] + lanes.item_s[lane]) * float(lanes.crowding[lane, busy])
    return [ServiceState(1, busy, factor * one_s, 100)]


def test_sessions_seen_to_be_slower_are_predicted_slower_at_every_load_and_batch() -> None:
    one = predictor()
    before = one.predicted_s.copy()
    one.learn([(2, seen(2, 1.3))])
    ratio = one.predicted_s / before
    assert (ratio[:, [2, 3]] > 1.2).all()


def test_others_follow_the_less_the_farther_they_are() -> None:
    one = predictor((1.0,))
    before = one.predicted_s.copy()
    one.learn([(0, seen(0, 1.5))])
    ratio = (one.predicted_s / before)[0]
    assert ratio[0] > ratio[2] > ratio[4] > 1.02


def test_what_was_seen_is_doubted_less_than_what_was_not() -> None:
    one = predictor((1.0,))
    assert (one.doubt >= 0.2).all()
    assert not one.is_known.any()
    one.learn([(0, seen(0, 1.0))])
    assert list(one.is_known) == [True, True, False, False, False]
    assert one.doubt[0, 0] == pytest.approx(KNOWN, rel=0.3)
    assert one.doubt[0, 0] < one.doubt[0, 2] < one.doubt[0, 4]


def test_a_law_found_right_is_doubted_less_elsewhere_and_one_found_wrong_more() -> None:
    right, wrong = predictor((1.0,)), predictor((1.0,))
    right.learn([(0, seen(0, 1.0)), (2, seen(2, 1.0))])
    wrong.learn([(0, seen(0, 1.8)), (2, seen(2, 0.6))])
    assert right.doubt[0, 4] < wrong.doubt[0, 4]


def test_doubt_is_greater_where_latency_answers_more_to_service_times() -> None:
    one = predictor((5.0, 45.0))
    assert one.doubt[1, 0] > 1.5 * one.doubt[0, 0]


def test_nothing_seen_changes_nothing() -> None:
    one = predictor()
    before = one.predicted_s.copy()
    one.learn([(2, [])])
    np.testing.assert_array_equal(one.predicted_s, before)


def test_a_correction_tells_crowding_and_batches_from_speed() -> None:
    lanes, _ = lanes_and_law()
    states, law_s = [], []
    for batch, busy, factor in ((1, 1, 1.2), (1, 2, 1.2 * 1.3), (4, 1, 1.2 * 1.1)):
        base_s = float(lanes.fixed_s[3] + lanes.item_s[3] * batch)
        states.append(ServiceState(batch, busy, factor * base_s, 1000))
        law_s.append(base_s)
    found = fit_correction(states, np.array(law_s), replicas=2)
    assert found == pytest.approx([np.log(1.2), np.log(1.1) / 2, np.log(1.3)], abs=0.05)


def test_few_executions_correct_less_than_many() -> None:
    moved = []
    for executions in (1, 100):
        state = ServiceState(1, 1, 0.015, executions)
        moved.append(fit_correction([state], np.array([0.01]), 1)[0])
    assert 0 < moved[0] < moved[1] < np.log(1.5)


def test_corrected_lanes_take_as_long_as_was_seen() -> None:
    lanes, _ = lanes_and_law()
    c: Samples = np.tile([np.log(1.2), np.log(1.1), np.log(1.5)], (len(CONFIGS), 1))
    found = corrected(lanes, c)

    def batch_s(of: Lanes, lane: int, size: int, busy: int) -> float:
        return float((of.fixed_s[lane] + of.item_s[lane] * size) * of.crowding[lane, busy])

    assert batch_s(found, 3, 1, 1) == pytest.approx(1.2 * batch_s(lanes, 3, 1, 1))
    assert batch_s(found, 3, 4, 1) == pytest.approx(1.2 * 1.1**2 * batch_s(lanes, 3, 4, 1))
    assert batch_s(found, 3, 1, 2) == pytest.approx(1.2 * 1.5 * batch_s(lanes, 3, 1, 2))
    assert batch_s(found, 0, 1, 1) == pytest.approx(1.2 * batch_s(lanes, 0, 1, 1))


def test_a_shape_far_from_all_that_was_measured_keeps_the_law() -> None:
    places = np.array([[0.0], [20.0]])
    c, deviation = spread_corrections({0: np.array([0.5, 0.0, 0.0])}, places)
    assert c[1] == pytest.approx(0.0, abs=1e-6)
    assert deviation[1] > deviation[0]
