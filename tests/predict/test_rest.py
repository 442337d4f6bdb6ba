"""What an execution costs after a rest, told from corners with pauses."""

import numpy as np
import pytest

from autotune.outcome import Samples
from autotune.predict.rest import (
    ALONE,
    BESIDE,
    LEAST_RESTS,
    SLEEPING,
    SPINNING,
    Paced,
    Steady,
    fit_rests,
)
from autotune.spec import ServingConfig
from autotune.stats.service import REST_S, rested

STEADY = Steady(alone_s=0.010, all_busy_s=0.014)
ALONE_W_S, BESIDE_W_S = 0.0007, 0.0020


def paced(count: int, *, spinning: bool = False, beside_share: float = 0.5) -> Paced:
    """Executions that lose exactly as much as (1) says."""
    rng = np.random.default_rng(0)
    rest_s = rng.exponential(0.006, count)
    others = (rng.random(count) < beside_share).astype(float)
    steady_s = np.where(others > 0, STEADY.all_busy_s, STEADY.alone_s)
    w_s = np.where(others > 0, BESIDE_W_S, ALONE_W_S)
    shape = ServingConfig(replicas=2, intra_op_threads=1, spinning=spinning).session_shape
    return Paced(shape=shape, seconds=steady_s + w_s * rested(rest_s), rest_s=rest_s, others=others)


def medians(rests_s: Samples, kind: int) -> list[float]:
    return [float(np.median(rests_s[kind, place])) for place in (ALONE, BESIDE)]


def test_what_a_rest_costs_is_told_alone_and_beside_others() -> None:
    found = fit_rests([(paced(400), STEADY)])
    assert medians(found, SLEEPING) == pytest.approx([ALONE_W_S, BESIDE_W_S], rel=0.01)
    assert (found[SPINNING] == 0).all()


def test_sessions_that_never_ran_beside_others_are_taken_to_lose_as_much_there() -> None:
    found = fit_rests([(paced(400, spinning=True, beside_share=0.0), STEADY)])
    assert medians(found, SPINNING) == pytest.approx([ALONE_W_S] * 2, rel=0.01)


def test_a_few_executions_tell_nothing() -> None:
    assert (fit_rests([(paced(LEAST_RESTS - 1), STEADY)]) == 0).all()


def test_nothing_is_gained_by_resting() -> None:
    quick = Steady(alone_s=0.020, all_busy_s=0.020)
    assert (fit_rests([(paced(400), quick)]) == 0).all()


def test_short_rests_cost_in_proportion_and_long_ones_all() -> None:
    share = rested(np.array([-1.0, 0.0, REST_S / 100, 100 * REST_S]))
    np.testing.assert_allclose(share, [0, 0, 0.00995, 1], atol=1e-5)
