import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuned_types import golden, made_service

from autotune.outcome import Samples
from autotune.planning.clustered import draw_clustered, typical_stretch
from autotune.planning.queues import Streams, busiest_rps, queues_of, simulate_queues, taken
from autotune.predict.forecast import saturation_rps
from autotune.predict.kept_lanes import lanes_of
from autotune.predict.queue_simulation import simulate
from autotune.service import ServiceModel


def models() -> list[ServiceModel]:
    kept = golden().service
    assert kept is not None
    return [made_service(1.0), kept, made_service(3.0)]


def one_stretch(times: Samples, lanes: int, per_s: float) -> Streams:
    first = np.zeros(lanes, dtype=np.int64)
    return Streams(np.append(times, np.inf), first, first + len(times), np.full(lanes, per_s))


@given(st.floats(5, 4000), st.floats(1, 8), st.integers(0, 2**31))
def test_all_machines_at_once_answer_as_each_does_alone(
    rate_rps: float, dispersion: float, seed: int
) -> None:
    times = draw_clustered(dispersion, 60, np.random.default_rng(seed))
    queues, begin = queues_of(models())
    found, starts = simulate_queues(queues, one_stretch(times, begin[-1], rate_rps), seed)
    assert starts.tolist() == [60 * lane for lane in range(begin[-1])]
    for model, first, past in zip(models(), begin[:-1], begin[1:], strict=True):
        lanes = lanes_of(model, model.configs)
        alone = simulate(times / rate_rps, lanes, np.array(model.jitter), seed)
        assert found.reshape(-1, 60)[first:past] == pytest.approx(alone, rel=1e-9, abs=1e-12)


def test_a_lane_answers_its_own_stretch_whatever_runs_beside_it() -> None:
    queues, _ = queues_of(models())
    rng = np.random.default_rng(1)
    stretches = [draw_clustered(2.0, count, rng) / 90 for count in (1, 17, 40)]
    lengths = np.array([len(one) for one in stretches])
    past = np.cumsum(lengths + 1) - 1
    arrivals = np.concatenate([np.append(one, np.inf) for one in stretches])
    places = np.array([1, 4, 1])
    found, starts = simulate_queues(
        taken(queues, places), Streams(arrivals, past - lengths, past, np.ones(3)), 2
    )
    for place, first, own in zip(places, starts, stretches, strict=True):
        # As many are drawn as the longest stretch has: so this one is made as long.
        padded = np.append(own, own[-1] + 1e6 + np.arange(40 - len(own)))
        alone, _ = simulate_queues(taken(queues, np.array([place])), one_stretch(padded, 1, 1.0), 2)
        assert found[first : first + len(own)] == pytest.approx(alone[: len(own)])


def test_saturation_is_that_of_the_search() -> None:
    queues, begin = queues_of(models())
    for model, first, past in zip(models(), begin[:-1], begin[1:], strict=True):
        expected = saturation_rps(lanes_of(model, model.configs))
        assert busiest_rps(queues)[first:past] == pytest.approx(expected)


@pytest.mark.parametrize("dispersion", [1.0, 3.0, 9.0])
def test_clustered_arrivals_have_their_rate_and_dispersion_at_every_scale(
    dispersion: float,
) -> None:
    times = draw_clustered(dispersion, 400_000, np.random.default_rng(4))
    assert 400_000 / times[-1] == pytest.approx(1.0, rel=0.02)
    for window in (2.0, 50.0):
        counts = np.histogram(times, np.arange(0, times[-1], window))[0]
        assert np.var(counts) / np.mean(counts) == pytest.approx(dispersion, rel=0.1)


def test_the_typical_stretch_is_nearer_to_endless_traffic_than_others_are() -> None:
    queues, _ = queues_of([made_service(1.0)])
    rate_rps = 0.85 * busiest_rps(queues)[0]

    def tail_s(times: Samples) -> float:
        found, _ = simulate_queues(taken(queues, np.array([0])), one_stretch(times, 1, rate_rps), 1)
        return float(np.quantile(found, 0.99))

    rng = np.random.default_rng(1)
    endless_s = tail_s(draw_clustered(4.0, 60_000, rng))
    drawn = [tail_s(draw_clustered(4.0, 2000, rng)) for _ in range(16)]
    typical = [tail_s(typical_stretch(4.0, 2000, seed)) for seed in range(3)]
    off = [np.mean(np.abs(np.divide(tails_s, endless_s) - 1)) for tails_s in (typical, drawn)]
    assert off[0] < 0.6 * off[1]
