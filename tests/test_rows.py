"""Rows of tuned files and comparisons: every column, in order, with the file's numbers."""

from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import TUNED

from autotune import rows
from autotune.comparison.files import compare_files
from autotune.records import Failed
from autotune.tabular import Columns, Row


def shaped(found: list[Row], columns: Columns) -> bool:
    """Whether all rows have all columns in order, each value of its column's type."""
    return all(
        list(row) == list(columns)
        and all(
            value is None or type(value) is (str if kind is datetime else kind)
            for value, kind in zip(row.values(), columns.values(), strict=True)
        )
        for row in found
    )


def test_all_rows_have_their_columns_in_order_and_of_their_types() -> None:
    compared = compare_files(TUNED, replace(TUNED, policy=TUNED.policy[1:]))
    for found, columns in (
        (rows.policy_rows(TUNED), rows.POLICY),
        (rows.trial_rows(TUNED), rows.TRIALS),
        (rows.front_rows(TUNED), rows.FRONT),
        ([rows.file_row(Path("a.json"), TUNED)], rows.FILES),
        (rows.comparison_rows(compared), rows.COMPARISON),
    ):
        assert shaped(found, columns)
        assert found or columns is rows.FRONT


def test_a_policy_has_the_chosen_and_the_default_at_each_load() -> None:
    found = rows.policy_rows(TUNED)
    assert [(row["load_rps"], row["side"]) for row in found] == [
        (load, side) for load in (30.0, 110.0, 160.0) for side in ("chosen", "default")
    ]
    chosen, default = found[-2:]
    entry = TUNED.policy[-1]
    assert entry.measured is not None
    assert entry.default is not None
    assert chosen["configuration"] == "2 x 1 thread"
    assert (chosen["replicas"], default["replicas"]) == (2, 1)
    assert chosen["p99_ms"] == entry.measured.p99.value_ms
    assert chosen["p99_high_ms"] == entry.measured.p99.high_ms
    assert chosen["cpu_ms_per_request"] == pytest.approx(1e3 * entry.measured.cpu_s_per_request)
    assert default["slo_attainment"] == entry.default.slo_attainment
    assert chosen["gain_proven"] is True
    assert default["gain_proven"] is None
    assert chosen["slo_ms"] == 50.0


def test_what_was_only_predicted_has_no_numbers_and_no_default() -> None:
    entry = replace(TUNED.policy[0], measured=None, default=None, gain=None, evidence="predicted")
    (row,) = rows.policy_rows(replace(TUNED, policy=[entry]))
    assert (row["p99_ms"], row["requests"], row["meets_slo"]) == (None, None, entry.meets_slo)
    assert row["predicted_ms"] == entry.predicted_ms


def test_a_failed_trial_says_why() -> None:
    failed = replace(
        TUNED.trials[0], measured=None, failure=Failed(kind="crash", detail="signal\n11")
    )
    (row,) = rows.trial_rows(replace(TUNED, trials=[failed]))
    assert (row["trial"], row["failure"], row["failure_detail"]) == (1, "crash", "signal\\n11")
    assert row["p50_ms"] is None


def test_a_file_recommends_up_to_the_load_that_it_promises() -> None:
    row = rows.file_row(Path("a/b.autotune.json"), TUNED)
    assert (row["file"], row["configuration"], row["up_to_rps"]) == (
        "a/b.autotune.json",
        "2 x 1 thread",
        160.0,
    )
    assert TUNED.policy[-1].default is not None
    assert row["default_p99_ms"] == TUNED.policy[-1].default.p99.value_ms
    nothing = replace(TUNED, policy=[replace(one, meets_slo=False) for one in TUNED.policy])
    assert rows.file_row(Path("a"), nothing)["up_to_rps"] is None


def test_a_comparison_has_a_row_a_quantity_and_one_for_a_load_that_only_one_measured() -> None:
    found = rows.comparison_rows(compare_files(TUNED, replace(TUNED, policy=TUNED.policy[1:])))
    first, *rest = found
    assert (first["of"], first["quantity"]) == ("execution", "execution_cpu_ms")
    lonely = [row for row in rest if row["load_rps"] == 30.0]
    assert [(row["quantity"], row["b_configuration"]) for row in lonely] == [(None, "2 x 1 thread")]
    shares = [row for row in rest if row["quantity"] == "slo_attainment"]
    assert {row["change_is"] for row in shares} == {"b - a"}
    assert {row["b_configuration"] for row in rest if row["of"] == "default"} == {"runtime default"}
