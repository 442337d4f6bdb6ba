import numpy as np
import pytest

from autotune.outcome import Samples
from autotune.strategy.protocol import Observation, Pair
from autotune.strategy.rrl import Rrl, Settings


def on_a_line(predicted_s: Samples, loads: int = 1, settings: Settings | None = None) -> Rrl:
    points = predicted_s.shape[-1]
    return Rrl(
        np.broadcast_to(predicted_s, (loads, points)),
        np.arange(float(points))[:, None],
        8.0 * np.exp2(np.arange(loads)),
        settings,
    )


def errors(search: Rrl, predicted_s: Samples) -> Samples:
    return np.asarray(np.log(search.estimated_s() / predicted_s))


def tell_all(search: Rrl, seen: dict[int, float], noise: float = 0.05) -> None:
    for point, ratio in seen.items():
        search.tell(Pair(0, point), Observation(ratio, noise))


def run(
    search: Rrl, predicted_s: Samples, true_s: Samples, costs: Samples | None = None
) -> list[Pair]:
    rng, asked = np.random.default_rng(0), []
    costs = np.ones_like(predicted_s) if costs is None else costs
    while (pair := search.ask(costs)) is not None:
        ratio = float(np.log(true_s[pair] / predicted_s[pair])) + rng.normal(0, 0.03)
        search.tell(pair, Observation(ratio, 0.05))
        asked.append(pair)
    return asked


def grid_world(seed: int) -> tuple[Samples, Samples, Samples, Samples]:
    """Three loads, 6 x 4 x 5 points; the prediction errs by up to 20 %, smoothly by region."""
    rng = np.random.default_rng(seed)
    coordinates = np.stack(np.meshgrid(np.arange(6.0), np.arange(4.0), np.arange(5.0)), -1)
    coordinates = coordinates.reshape(-1, 3)
    loads_rps = np.array([10.0, 40.0, 160.0])
    bowl = 0.15 * np.sum((coordinates - rng.uniform(0, 4, 3)) ** 2, axis=1)
    predicted_s = 0.01 * np.exp(bowl[None] + 0.1 * np.log2(loads_rps)[:, None])
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    error = 0.2 * np.sin(coordinates @ direction + rng.uniform(0, 6))
    return predicted_s, predicted_s * np.exp(error)[None], coordinates, loads_rps


@pytest.mark.parametrize("seed", range(10))
def test_few_measurements_come_within_five_percent_of_the_best(seed: int) -> None:
    predicted_s, true_s, coordinates, loads_rps = grid_world(seed)
    search = Rrl(predicted_s, coordinates, loads_rps)
    asked = run(search, predicted_s, true_s)
    assert len(asked) <= 0.12 * predicted_s.size
    for load in range(len(loads_rps)):
        found_s = true_s[load, search.best(load)[:3]].min()
        assert found_s <= 1.05 * true_s[load].min()


def test_a_region_predicted_too_well_by_half_is_seen_through_at_every_load() -> None:
    coordinates = np.array([[a, b] for a in range(6) for b in range(4)], dtype=np.float64)
    valleys = np.array([[1.0, 1.0], [3.0, 2.0], [4.0, 2.0]])  # the best moves with the load
    distance = np.linalg.norm(coordinates[None] - valleys[:, None], axis=2)
    true_s = 0.01 * np.exp(0.4 * distance)
    predicted_s = true_s * np.where(coordinates[:, 0] > 2, 1 / 1.5, 1.0)[None]
    search = Rrl(predicted_s, coordinates, np.array([10.0, 40.0, 160.0]))
    assert len(run(search, predicted_s, true_s)) <= predicted_s.size // 2
    for load, row in enumerate(true_s):
        assert row[search.best(load)[0]] <= 1.05 * row.min()


def test_a_right_prediction_is_believed_after_a_few_measurements() -> None:
    predicted_s = np.exp(0.4 * np.abs(np.arange(40.0) - 17))[None] * 0.01
    search = on_a_line(predicted_s)
    asked = run(search, predicted_s, predicted_s)
    assert asked[0] == Pair(0, 17)
    assert len(asked) <= 8
    assert search.is_settled()
    assert search.best(0)[0] == 17


def test_the_blank_start_is_the_prediction() -> None:
    predicted_s = np.array([[0.3, 0.1, 0.2]])
    search = on_a_line(predicted_s)
    np.testing.assert_allclose(search.estimated_s(), predicted_s)
    assert search.ask(np.ones((1, 3))) == Pair(0, 1)
    assert not search.is_settled()


def test_regions_split_where_errors_differ() -> None:
    predicted_s = np.full((1, 10), 0.1)
    search = on_a_line(predicted_s)
    tell_all(search, {0: 0.7, 1: 0.7, 8: -0.7, 9: -0.7})
    learnt = errors(search, predicted_s)[0]
    assert (learnt[:5] > 0.55).all()  # 4 is nearer to 1 than to 8, but not by much
    assert (learnt[5:] < -0.55).all()


def test_errors_that_agree_within_their_noise_share_one_region() -> None:
    predicted_s = np.full((1, 10), 0.1)
    search = on_a_line(predicted_s)
    tell_all(search, {0: 0.5, 1: 0.5, 8: 0.3, 9: 0.3}, noise=0.3)
    learnt = errors(search, predicted_s)[0]
    assert (np.abs(np.diff(learnt)) < 0.08).all()  # no jump


def test_regions_merge_again_when_later_members_agree() -> None:
    predicted_s = np.full((1, 10), 0.1)
    search = on_a_line(predicted_s)
    tell_all(search, {0: 0.4, 1: 0.4, 8: -0.4, 9: -0.4})
    apart = errors(search, predicted_s)[0]
    tell_all(search, {0: 0.1, 1: 0.1, 8: 0.1, 9: 0.1})
    together = errors(search, predicted_s)[0]
    assert apart[4] - apart[5] > 0.5
    assert abs(together[4] - together[5]) < 0.01


def test_an_error_seen_at_one_load_informs_the_others_less_with_distance() -> None:
    predicted_s = np.full((4, 3), 0.1)
    search = on_a_line(predicted_s[0], loads=4)
    search.tell(Pair(0, 1), Observation(0.5, 0.05))
    learnt = errors(search, predicted_s)
    assert 0.4 < learnt[0, 1] < 0.5
    assert learnt[0, 1] > learnt[1, 1] > learnt[2, 1] > learnt[3, 1] > 0
    assert learnt[0, 1] > learnt[0, 0] == pytest.approx(learnt[0, 2])


def test_a_noisy_measurement_moves_beliefs_less_than_a_clear_one() -> None:
    predicted_s = np.full((1, 5), 0.1)
    moved = []
    for noise in (0.05, 0.3):
        search = on_a_line(predicted_s)
        search.tell(Pair(0, 2), Observation(0.4, noise))
        moved.append(errors(search, predicted_s)[0, 2])
    assert 0 < moved[1] < 0.7 * moved[0]


def test_of_equally_promising_pairs_the_cheaper_is_measured() -> None:
    predicted_s = np.full((1, 9), 0.1)
    for cheap in (0, 8):
        search = on_a_line(predicted_s)
        search.tell(Pair(0, 4), Observation(0.0, 0.05))
        costs = np.where(np.arange(9) == cheap, 1.0, 3.0)[None]
        assert search.ask(costs) == Pair(0, cheap)


def test_a_higher_bar_for_gains_ends_the_search_sooner() -> None:
    predicted_s, true_s, coordinates, loads_rps = grid_world(1)
    counts = []
    for min_gain in (0.01, 0.3):
        search = Rrl(predicted_s, coordinates, loads_rps, Settings(min_gain=min_gain))
        counts.append(len(run(search, predicted_s, true_s)))
    assert counts[1] < counts[0]


def test_a_failure_teaches_nothing_but_to_stay_away() -> None:
    predicted_s = np.array([[0.1, 0.2, 0.3]])
    search = on_a_line(predicted_s)
    search.tell(Pair(0, 0), Observation(None, 0.05))
    np.testing.assert_allclose(search.estimated_s(), predicted_s)
    assert search.best(0) == []
    assert search.ask(np.ones((1, 3))) == Pair(0, 1)
