from itertools import pairwise

import pytest
from drawn import BATCHED, DRAWN, TWO
from msgspec.structs import replace

from autotune.config_file import TunedFile
from autotune.reports import series
from autotune.spec import RUNTIME_DEFAULT


def test_each_side_of_each_load_has_its_percentiles_with_their_band() -> None:
    data = series.latency_rows(DRAWN)
    measured = [side for entry in DRAWN.policy for side in series.sides(entry)]
    assert len(data) == 3 * len(measured)
    for row in data:
        if row["ms"] is not None:
            assert row["low_ms"] <= row["ms"] <= row["high_ms"]


def test_a_queue_without_end_has_no_percentile() -> None:
    entry = next(one for one in DRAWN.policy if one.measured is not None)
    assert entry.measured is not None
    lost = replace(entry, measured=replace(entry.measured, diverged=True))
    data = series.latency_rows(replace(DRAWN, policy=[lost]))
    assert {row["ms"] for row in data if row["side"] == series.TUNED} == {None}


def test_an_unusual_percentile_of_the_slo_is_drawn_too() -> None:
    tuned = replace(DRAWN, slo=replace(DRAWN.slo, percentile=99.9))
    assert {row["percentile"] for row in series.latency_rows(tuned)} == {
        "p50",
        "p95",
        "p99",
        "p99.9",
    }


def test_the_knee_is_the_highest_load_up_to_which_all_meet_the_slo() -> None:
    entries = DRAWN.policy[:3]

    def knee(*meets: bool) -> float | None:
        policy = [replace(e, meets_slo=ok) for e, ok in zip(entries, meets, strict=True)]
        return series.knee_rps(replace(DRAWN, policy=policy))

    assert knee(True, True, True) == entries[2].load_rps
    assert knee(True, False, True) == entries[0].load_rps
    assert knee(False, True, True) is None


def test_parts_of_a_bar_add_up_to_the_mean_latency() -> None:
    for entry in DRAWN.policy:
        for _, _, summary in series.sides(entry):
            parts = (summary.queueing_ms, summary.batch_wait_ms, summary.service_ms)
            bars = [r["ms"] for r in series.part_rows(replace(DRAWN, policy=[entry]))]
            assert sum(bars) >= sum(part or 0 for part in parts)


def test_a_point_knows_what_was_predicted_and_whose_region_it_lies_in() -> None:
    default, two, batched = series.point_rows(DRAWN)
    assert default["region"][0] == "runtime default"
    assert (two["predicted"][0], two["region"][0]) == (6.0, TWO.describe())
    assert batched["region"][0] is None
    assert batched["spinning"] == "no"
    assert (batched["config"], batched["batch_timeout_ms"]) == (BATCHED.describe(), 2.5)


def test_a_lucky_first_measurement_earns_no_regret() -> None:
    """What a configuration is worth is what its interleaved rounds say."""
    entry = DRAWN.policy[0]
    trial = next(one for one in DRAWN.trials if one.measured is not None)
    assert trial.measured is not None

    def tried(at_s: float, config: object, ms: float, phase: str = "search") -> object:
        one = replace(trial.measured.objective, value_ms=ms)  # type: ignore[union-attr]
        measured = replace(trial.measured, objective=one)  # type: ignore[type-var]
        return replace(
            trial,
            phase=phase,
            load_rps=entry.load_rps,
            at_s=at_s,
            config=config,
            measured=measured,
            failure=None,
        )

    def finalist(config: object, ms: float) -> object:
        one = next(f for f in DRAWN.finalists if f.load_rps == entry.load_rps)
        objective = replace(one.measured.objective, value_ms=ms)
        return replace(one, config=config, measured=replace(one.measured, objective=objective))

    lucky: TunedFile = replace(
        DRAWN,
        policy=[replace(entry, config=TWO)],
        trials=[
            tried(1.0, RUNTIME_DEFAULT, 5.0),
            tried(2.0, TWO, 8.0),
            tried(3.0, BATCHED, 4.0),
            tried(9.0, TWO, 8.0, "confirm"),
        ],
        finalists=[finalist(RUNTIME_DEFAULT, 20.0), finalist(TWO, 8.0), finalist(BATCHED, 10.0)],
    )
    found = [(row["s"], round(row["percent"])) for row in series.regret_rows(lucky)]
    assert found == [(1.0, 150), (2.0, 150), (3.0, 25), (9.0, 0)]


def test_where_cores_are_saved_no_regret_is_drawn() -> None:
    tuned = replace(DRAWN, search=replace(DRAWN.search, objective="cores"))
    assert series.regret_rows(tuned) == []


def test_where_energy_is_saved_regret_is_of_energy_within_the_slo() -> None:
    saving = replace(DRAWN, search=replace(DRAWN.search, objective="energy"))
    of_cpu = replace(DRAWN, search=replace(DRAWN.search, objective="cpu"))
    energy, cpu = series.regret_rows(saving), series.regret_rows(of_cpu)
    assert [row["s"] for row in energy] == [row["s"] for row in cpu]
    # Idle power, which all share, makes less of the same difference in CPU time.
    worst = max(row["percent"] for row in energy)
    assert 0 < worst < max(row["percent"] for row in cpu)
    # Of files that know no power, latency is drawn.
    assert series.regret_rows(replace(saving, power=None)) == series.regret_rows(DRAWN)


def test_a_trade_off_is_a_row_with_its_load_in_words() -> None:
    rows = series.trade_off_rows(DRAWN)
    assert len(rows) == len(DRAWN.trade_offs)
    assert {row["load"] for row in rows} == {"30/s", "110/s", "160/s"}
    assert all(row["joules"] > 0 and row["slo"] == "met" for row in rows)


@pytest.mark.parametrize("load", range(len(DRAWN.policy)))
def test_distributions_end_below_one(load: int) -> None:
    data = series.distribution_rows(DRAWN, DRAWN.policy[load].load_rps)
    assert {row["config"] for row in data} == {"runtime default", TWO.describe()}
    assert max(row["share"] for row in data) == 0.99


def test_the_policy_covers_every_load_from_nothing_to_its_top() -> None:
    data = series.policy_rows(DRAWN)
    assert data[0]["from_rps"] == 0
    for before, after in pairwise(data):
        assert before["to_rps"] == after["from_rps"]
