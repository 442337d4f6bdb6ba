from functools import cache

import numpy as np
import pytest
from fleet_scenes import FUNCTION, MADE, arriving, clustered_counts, made_mixes, phases
from planned_types import SLO, types_of

from autotune.planning.attained import Scene
from autotune.planning.load_windows import Windows, windows_of
from autotune.planning.records import ForecastError
from autotune.planning.scaling import Played, play_all
from autotune.planning.spill_over import SpillOver


@cache
def bursts() -> Windows:
    """Six hours of a load that is six times as high for three minutes now and then."""
    rng = np.random.default_rng(4)
    rates_rps = 400 * (1 + 5 * phases(6 * 3600.0, 0.5, (1200.0, 180.0), rng))
    trace = arriving(clustered_counts(rates_rps, 0.5, 1.5, rng), 0.5, 1.5, "made up")
    return windows_of(trace, 0.05, 30.0)


def play(
    windows: Windows, function: SpillOver | None, highest_rps: float | None = None
) -> tuple[dict[str, Played], ForecastError | None]:
    scene = Scene(windows, types_of(*MADE, dispersion=windows.dispersion), SLO)
    mixes = made_mixes(scene.types, highest_rps or 1.3 * windows.peak_rps)
    found, error = play_all(scene, mixes, function)
    return {one.kind: one for one in found}, error


@cache
def played() -> dict[str, Played]:
    found, error = play(bursts(), FUNCTION)
    assert error is not None
    return found


def test_every_way_to_scale_is_there_in_order() -> None:
    assert list(played()) == [
        *("peak", "static", "reactive_hpa", "reactive_ray"),
        *("predictive", "spill_over", "oracle"),
    ]
    for one in played().values():
        assert one.fleet.ready.shape == (bursts().steps, len(MADE))
        assert one.cost.machines.shape == (len(MADE),)
        seconds = bursts().steps * bursts().step_s
        lasts_s = np.diff([*(moment.at_s for moment in one.series), seconds])
        came = lasts_s * [moment.load_rps for moment in one.series]
        assert came.sum() == pytest.approx(bursts().requests)
        in_time = came @ [moment.within for moment in one.series]
        assert one.attained.attainment == pytest.approx(in_time / bursts().requests)


def test_all_meet_the_slo_here_and_none_costs_less_than_the_oracle() -> None:
    oracle = played()["oracle"]
    assert oracle.attained.attainment >= SLO.quantile - 1e-4
    for kind in ("peak", "static", "predictive", "spill_over"):
        assert played()[kind].meets(SLO.quantile), kind
        assert played()[kind].cost.total > oracle.cost.total, kind


def test_spilling_over_saves_most_where_bursts_are_shorter_than_starts() -> None:
    costs = {kind: one.cost.total for kind, one in played().items()}
    assert costs["static"] <= costs["peak"]
    assert costs["spill_over"] < 0.5 * costs["peak"]
    assert costs["spill_over"] < costs["predictive"]
    assert 0.01 < played()["spill_over"].attained.spilled_share < 0.6
    assert played()["spill_over"].cost.function > 0
    assert played()["static"].cost.function == 0


def test_settings_are_on_record() -> None:
    assert played()["reactive_hpa"].settings.keys() == {"target_utilisation"}
    assert played()["reactive_ray"].settings["target_ongoing_requests"] > 0
    assert {"margin_quantile", "margin_factor", "hold_s"} <= played()["predictive"].settings.keys()
    assert "fill" in played()["spill_over"].settings
    assert played()["oracle"].settings["duality_gap"] < 0.01


def test_without_a_function_nothing_spills() -> None:
    found, _ = play(bursts(), None)
    assert "spill_over" not in found
    assert found["oracle"].attained.spilled_share == 0.0
    assert found["oracle"].cost.total >= played()["oracle"].cost.total


def test_a_function_that_is_nearly_free_needs_no_machines() -> None:
    free = FUNCTION._replace(cost_per_request=1e-10, cold_start_s=0.0)
    found, _ = play(bursts(), free)
    assert found["spill_over"].fleet.ready.sum() == 0
    assert found["spill_over"].attained.spilled_share == 1.0


def test_without_machines_that_meet_the_slo_there_is_only_the_function() -> None:
    scene = Scene(bursts(), types_of(*MADE), SLO)
    mixes = made_mixes(scene.types, 100.0)
    none = mixes._replace(counts=np.zeros_like(mixes.counts))
    found, error = play_all(scene, none, FUNCTION)
    assert [one.kind for one in found] == ["spill_over"]
    assert error is None
    assert play_all(scene, none, None) == ([], None)


def test_too_few_machines_come_as_near_as_they_can() -> None:
    found, _ = play(bursts(), None, highest_rps=500.0)
    assert not found["static"].meets(SLO.quantile)
    assert found["static"].attained.lost_share > 0.05
    assert found["static"].fleet.ready.sum() == found["static"].fleet.ready.max(axis=0).sum() * (
        bursts().steps
    )


def test_a_trace_of_one_step_is_played_too() -> None:
    single = windows_of(arriving(np.full(40, 10), 0.5, 1.0, "short"), 0.05, 30.0)
    found, error = play(single, FUNCTION)
    assert error is None
    assert found["peak"].attained.attainment > 0.9


def test_the_same_twice() -> None:
    again, _ = play(bursts(), FUNCTION)
    for kind, one in played().items():
        assert again[kind].settings == one.settings
        assert again[kind].cost.total == one.cost.total
