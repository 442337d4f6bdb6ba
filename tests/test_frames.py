"""Data frames: types that can be computed with, whatever a file lacks."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from msgspec.structs import replace
from promised import GOLDEN, TUNED

from autotune import frames, rows
from autotune.comparison.files import compare_files
from autotune.errors import UsageError


def test_a_policy_is_a_table_to_compute_with() -> None:
    frame = frames.policy_frame(TUNED)
    assert list(frame.columns) == list(rows.POLICY)
    p99 = frame.pivot(index="load_rps", columns="side", values="p99_ms")
    assert (p99["chosen"] <= p99["default"]).all()
    assert frame["replicas"].dtype == "int64"
    assert frame["spinning"].dtype == "bool"
    assert frame["gain_proven"].dtype == "boolean"
    assert frame["joules_per_request"].dtype == "float64"


def test_what_is_missing_is_nan_and_an_empty_table_has_its_types() -> None:
    entry = replace(TUNED.policy[0], measured=None, default=None, gain=None, evidence="predicted")
    frame = frames.policy_frame(replace(TUNED, policy=[entry]))
    assert frame["requests"].dtype == "float64"
    assert frame["requests"].isna().all()
    empty = frames.trials_frame(replace(TUNED, trials=[]))
    assert list(empty.columns) == list(rows.TRIALS)
    assert empty["p99_ms"].dtype == "float64"


def test_trials_and_front_have_a_row_each() -> None:
    assert len(frames.trials_frame(TUNED)) == len(TUNED.trials)
    assert len(frames.front_frame(TUNED)) == len(TUNED.front)


def test_trade_offs_have_a_row_each_that_says_whether_energy_is_a_model() -> None:
    frame = frames.trade_offs_frame(TUNED)
    assert list(frame.columns) == list(rows.TRADE_OFFS)
    assert len(frame) == len(TUNED.trade_offs) > 0
    assert frame["power_is_model"].all()
    assert frame["joules_per_request"].dtype == "float64"
    assert len(frames.trade_offs_frame(replace(TUNED, trade_offs=[]))) == 0


def test_files_have_a_time_and_what_is_none_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a.autotune.json").write_bytes(GOLDEN.read_bytes())
    (tmp_path / "b.autotune.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"b\.autotune\.json: is not a tuned file"):
        frame = frames.files_frame(tmp_path)
    assert list(frame["file"]) == [str(tmp_path / "a.autotune.json")]
    assert isinstance(frame["started_at"].dtype, pd.DatetimeTZDtype)
    with pytest.raises(UsageError, match="no such file or folder"):
        frames.files_frame([tmp_path, tmp_path / "none"])


def test_a_comparison_is_a_table_as_well() -> None:
    frame = frames.comparison_frame(compare_files(TUNED, TUNED))
    told = frame[frame["verdict"] == "noise"]
    assert (told["change"].isin([0.0, 1.0])).all()


def test_pandas_is_loaded_for_a_frame_only() -> None:
    script = (
        "import sys, autotune.frames, autotune.rows, autotune.catalogue, autotune.cli.app\n"
        "assert 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
