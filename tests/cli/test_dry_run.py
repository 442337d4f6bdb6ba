"""`--dry-run` as a person meets it."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import GOLDEN, TUNED

from autotune import config_file, model_file
from autotune.cli.app import run


def test_a_search_says_what_it_would_do_and_leaves_no_trace(
    mlp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "autotune.toml").write_text(f'model = "{mlp}"\nslo = "50ms"\nloads = [20, 80]\n')
    (tmp_path / "mlp.autotune.json").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    asked = ["search", "--dry-run", "--safe", "5%", "--budget", "1m30s", "--trials", "7"]
    assert run([*asked, "-q"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    for words in (
        "to find the lowest p99 at each load; SLO p99 <= 50 ms; only what misses it with less",
        "loads 20/s, 80/s",
        "request x 1x256: generated",
        "at most about 90 s profile and search, until settled or 36 s; 4.5 s, 1.88 s for a",
        "at most 7 measurements",
        "3 configurations at most x 2 loads x 6 rounds = 36 runs of",
        "to write mlp.autotune.json",
        "Dry run: nothing was measured, nothing was written.",
    ):
        assert words in text
    assert run([*asked, "-q", "--incumbent", "default"]) == 0
    out, _ = capsys.readouterr()
    assert "less than 5 % chance; starting from runtime default" in " ".join(out.split())
    assert run([*asked, "--json", "--objective", "capacity", "--load", "5"]) == 0
    out, err = capsys.readouterr()
    assert "settings: model, slo from " in err.splitlines()[0]
    plan = json.loads(out)
    assert (plan["objective"], plan["max_risk"], plan["budget_s"]) == ("capacity", 0.05, 90)
    assert [one["load_rps"] for one in plan["loads"]] == [5]
    assert sorted(tmp_path.iterdir()) == before


def test_a_measurement_says_how_long_at_most_and_how_little_would_do(
    mlp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    asked = ["measure", str(mlp), "--slo", "50ms", "--load", "100rps", "--replicas", "2"]
    assert run([*asked, "--intra-op-threads", "1", "--dry-run"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "to measure 2 x 1 thread at 100/s; SLO p99 <= 50 ms" in text
    assert "at most 60 s, less where a verdict ends it a PASS at 99 % takes at least" in text


def test_a_check_says_its_rounds_and_what_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(GOLDEN), "magika:", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert len(plan["configs"]) == 3
    assert plan["stale"] != []
    assert plan["rounds"] * plan["window_s"] * 3 < 60


def test_a_verification_says_what_it_would_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"never loaded")
    tuned = replace(TUNED, model=replace(TUNED.model, sha256=model_file.sha256(model)))
    config_file.write(tmp_path / "model.autotune.json", tuned)
    asked = ["verify", str(tmp_path / "model.autotune.json"), "--server", "onnxruntime"]
    assert run([*asked, "--model", str(model), "--dry-run", "--duration", "1m"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "to verify onnxruntime, started with" in text
    assert "6 s to warm up and 60 s at each" in text


def test_a_search_through_a_server_is_planned_with_what_the_server_can_express(
    mlp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "mlp.autotune.json")
    asked = ["search", str(mlp), "--slo", "50ms", "-o", output, "--dry-run"]
    assert run([*asked, "--target", "onnxruntime"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "through onnxruntime" in out
    assert "first the engine itself, then the server from its answer" in out
    assert "max_batch_size: a session does not batch" in out
    assert run(asked) == 0
    assert "first the engine itself" not in capsys.readouterr().out
