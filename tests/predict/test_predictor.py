"""Predictions that learn: a law that is wrong about sessions is put right by what they showed."""

import msgspec
import numpy as np
import pytest
from flat import INFO, flat_law

from autotune.outcome import Samples
from autotune.predict.correction import Correction, as_states, corrected
from autotune.predict.forecast import make_lanes
from autotune.predict.predictor import UNMODELLED, Basis, Predictor
from autotune.predict.queue_simulation import Lanes, batch_seconds
from autotune.predict.service_law import ServiceLaw
from autotune.predict.taught import Taught
from autotune.service import REST_DRAWS
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
    one_s = float(lanes.alone_s[lane, 0]) * float(lanes.crowding[lane, busy])
    return [ServiceState(1, busy, factor * one_s, 100)]


def by_the_law(one: Predictor) -> Samples:
    """The doubt that is due to service times alone."""
    return np.sqrt(one.doubt**2 - UNMODELLED**2)


def test_sessions_seen_to_be_slower_are_predicted_slower_at_every_load_and_batch() -> None:
    one = predictor()
    before = one.predicted_s.copy()
    one.learn([(2, seen(2, 1.3))])
    ratio = one.predicted_s / before
    assert (ratio[:, [2, 3]] > 1.2).all()


def test_what_is_taught_late_counts_as_if_it_had_been_known() -> None:
    taught = Taught(np.full((3, 4, 4), 0.3))
    early, late = predictor(), predictor()
    early.teach(taught)
    for one in (early, late):
        one.learn([(0, seen(0, 1.3)), (2, seen(2, 1.35))])
    assert late.trust is None
    late.teach(taught)
    assert late.trust == early.trust
    assert late.trust is not None
    assert late.trust > 0.5
    # What is far from the best, or hardly changes, is not simulated again.
    near = late.predicted_s < 3 * late.predicted_s.min()
    assert near.sum() > 5
    np.testing.assert_allclose(late.predicted_s[near], early.predicted_s[near], rtol=0.05)
    np.testing.assert_allclose(late.doubt[near], early.doubt[near], rtol=0.05)
    late.teach(None)
    assert late.trust is None


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
    one.learn([(0, seen(0, 1.1))])
    assert list(one.is_known) == [True, True, False, False, False]
    assert by_the_law(one)[0, 0] < 0.12
    assert UNMODELLED < one.doubt[0, 0] < one.doubt[0, 2] < one.doubt[0, 4]


def test_a_law_found_right_is_doubted_less_elsewhere_and_one_found_wrong_more() -> None:
    right, wrong = predictor((1.0,)), predictor((1.0,))
    right.learn([(0, seen(0, 1.0)), (2, seen(2, 1.0))])
    wrong.learn([(0, seen(0, 1.8)), (2, seen(2, 0.6))])
    assert right.doubt[0, 4] < wrong.doubt[0, 4]


def test_doubt_is_greater_where_latency_answers_more_to_service_times() -> None:
    one = predictor((5.0, 45.0))
    assert by_the_law(one)[1, 0] > 1.5 * by_the_law(one)[0, 0]


def test_nothing_seen_changes_nothing() -> None:
    one = predictor()
    before = one.predicted_s.copy()
    one.learn([(2, [])])
    np.testing.assert_array_equal(one.predicted_s, before)


def test_a_point_made_too_slow_by_what_was_learnt_first_recovers() -> None:
    """It must not stay at what it was predicted when it was out of reach."""
    one = predictor((35.0,))
    one.learn([(2, seen(2, 12.0))])
    assert one.predicted_s[0, 2] > 4 * one.predicted_s[0].min()
    for _ in range(20):
        one.learn([(2, seen(2, 1.0))])
    law_alone = predictor((35.0,)).predicted_s[0, 2]
    assert one.predicted_s[0, 2] == pytest.approx(law_alone, rel=0.25)


def correction(*states: tuple[float, float, float, float]) -> Correction:
    """Of sessions at 0, from (batch, busy share, factor, executions)."""
    seen_states = as_states([np.zeros(1)] * len(states), [(b, share) for b, share, _, _ in states])
    ratios = np.log(np.array([factor for _, _, factor, _ in states]))
    return Correction(seen_states, ratios, np.array([count for *_, count in states]))


def at(one: Correction, place: float, batch: float, share: float) -> float:
    mean, _ = one.at(as_states([np.array([place])], [(batch, share)]))
    return float(np.exp(mean[0]))


def test_a_correction_tells_crowding_and_batches_from_speed() -> None:
    one = correction((1, 0, 1.2, 1e4), (1, 1, 1.2 * 1.3, 1e4), (16, 0, 1.2 * 1.5, 1e4))
    assert at(one, 0, 1, 0) == pytest.approx(1.2, rel=0.05)
    assert at(one, 0, 1, 1) == pytest.approx(1.2 * 1.3, rel=0.07)
    assert at(one, 0, 16, 0) == pytest.approx(1.2 * 1.5, rel=0.1)
    assert at(one, 0, 1, 0) < at(one, 0, 4, 0) < at(one, 0, 16, 0)


def test_few_executions_correct_less_than_many() -> None:
    few, many = correction((1, 0, 1.3, 1)), correction((1, 0, 1.3, 1000))
    assert 1 < at(few, 0, 1, 0) < at(many, 0, 1, 0) < 1.3


def test_sessions_far_from_all_that_was_seen_keep_the_law() -> None:
    one = correction((1, 0, 1.5, 100))
    assert at(one, 20, 1, 0) == pytest.approx(1.0, abs=0.01)


def test_corrected_lanes_take_as_long_as_was_seen() -> None:
    lanes, _ = lanes_and_law()
    one = correction((1, 0, 1.2, 1e5), (4, 0, 1.4, 1e5), (4, 1, 2.0, 1e5))
    found = corrected(lanes, SHAPES, np.zeros((3, 1)), one, anchor=32)

    def batch_s(of: Lanes, lane: int, size: int, busy: int) -> float:
        alone_s = batch_seconds(of.alone_s, np.array(lane), size)
        return float(alone_s * of.crowding[lane, busy])

    for lane, size, busy, factor in (
        (0, 1, 1, 1.2),
        (1, 4, 1, 1.4),
        (3, 1, 1, 1.2),
        (3, 4, 2, 2.0),
    ):
        ratio = batch_s(found, lane, size, busy) / batch_s(lanes, lane, size, busy)
        assert ratio == pytest.approx(factor, rel=0.08), (lane, size, busy)


def test_what_resting_costs_is_not_taken_for_slow_sessions() -> None:
    lanes, law = lanes_and_law()
    rests_s = np.full((2, 2, REST_DRAWS), 0.004)
    lanes = lanes._replace(rests_s=rests_s, rests_as=np.zeros(len(CONFIGS), dtype=np.int64))
    arrivals_s = np.cumsum(np.random.default_rng(0).exponential(0.1, 800))
    one = Predictor(Basis(lanes, law, SHAPES, PLACES, [arrivals_s], 0.95))
    before = one.predicted_s.copy()
    alone_s = float(lanes.alone_s[0, 0])
    one.learn([(0, [ServiceState(1, 1, alone_s + 0.9 * 0.004, 1000, rested=0.9)])])
    np.testing.assert_allclose(one.predicted_s, before, rtol=0.02)
    one.learn([(0, [ServiceState(1, 1, alone_s + 0.004, 10_000, rested=0.0)])])
    assert one.predicted_s[0, 0] > 1.05 * before[0, 0]
