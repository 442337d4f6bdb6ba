"""`autotune measure` as a person meets it: verdicts, exit codes, words, mistakes."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from made import QUIET, run_of

from autotune.arrivals import Traffic
from autotune.cli.app import run
from autotune.cli.page import print_page
from autotune.outcome import Measured, ModelInfo
from autotune.present.measured import measurement_page
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, Slo
from autotune.stages import single, validity
from autotune.stages.measurement import Measurement
from autotune.stages.question import MeasureQuestion
from autotune.stages.single import Runs
from autotune.stages.weigh import weigh
from autotune.trial import watch

ONE = ("--intra-op-threads", "1")
QUICK = ("--slo", "500ms", "--percentile", "90", "--load", "200", "--duration", "4s", *ONE)
"""Passes within a second or two."""


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever shares this machine, nothing shall make a run invalid."""
    monkeypatch.setattr(watch, "disturbed_because", lambda one, cores: [])
    monkeypatch.setattr(validity, "LATE_ISSUE_MS", 1e9)
    monkeypatch.setattr(validity, "DRIFT_DEVIATIONS", 1e9)


def printed(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    assert run(["measure", *arguments]) == code
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    return out


def as_json(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> Any:
    return json.loads(printed(capsys, code, *arguments, "--json"))


def in_words(capsys: pytest.CaptureFixture[str], found: Any) -> str:
    """Return what is printed of an answer that was given as JSON."""
    print_page(measurement_page(msgspec.convert(found, Measurement)))
    return capsys.readouterr().out


@pytest.mark.usefixtures("quiet")
def test_a_met_slo_passes_with_its_evidence(mlp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, 0, str(mlp), *QUICK)
    assert re.search(r"^1 x 1 thread\nVALID\nPASS  p90 <= 500 ms at 99 % confidence", text, re.M)
    assert re.search(r"n = [0-9,]+, 0 over \(worth [0-9,]+\s+independent\s+requests\)", text)
    for part in ("95 % interval", "100.0 %", "queueing", "slowest 10 %", "CPU", "idle with the"):
        assert part in text
    assert "->" not in text


@pytest.mark.usefixtures("quiet")
def test_json_says_the_same(mlp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, 0, str(mlp), *QUICK)
    (side,) = found["sides"]
    assert (side["slo"]["answer"], side["slo"]["stopped"]) == ("PASS", "passed")
    assert side["validity"] == {"valid": True, "reasons": [], "next_steps": [], "notes": []}
    assert sum(side["histogram"]["counts"]) == side["summary"]["requests"] > 100
    assert side["served_rps"] == pytest.approx(200, rel=0.5)
    assert (found["load_rps"], found["differences"]) == (200, [])
    assert msgspec.convert(found, Measurement).slo == Slo(latency_ms=500, percentile=90)


@pytest.mark.usefixtures("quiet")
def test_a_missed_slo_fails_and_says_where_to_look(
    mlp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (str(mlp), "--slo", "1us", "--load", "100", "--duration", "4s")
    found = as_json(capsys, 1, *asked)
    text = in_words(capsys, found)
    assert re.search(
        r"^runtime default\nVALID\nFAIL  p99 > 0.001 ms at 99 % confidence", text, re.M
    )
    assert re.search(r"100\.0 %  over$", text, re.M)
    assert "-> look for a configuration that meets it: autotune search" in text
    assert found["sides"][0]["slo"]["answer"] == "FAIL"
    assert found["sides"][0]["seconds"] < 4


@pytest.mark.usefixtures("quiet")
def test_a_queue_that_grows_without_end_fails_with_what_is_served(
    mlp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validity, "_beyond_the_ceiling", lambda load: [])
    asked = ("--slo", "50ms", "--load", "60000", "--duration", "5s", *ONE)
    text = printed(capsys, 1, str(mlp), *asked)
    served = re.search(r"FAIL  the queue grows without end: about ([0-9,]+)\s", text)
    assert served is not None
    assert 0 < float(served[1].replace(",", "")) < 60_000
    assert re.search(r"^ +lost +[█]+ +[0-9,]+$", text, re.M)
    shares = [float(share) for share in re.findall(r"([0-9.]+) %(?:  over)?$", text, re.M)]
    assert max(shares[:-1]) < 100


@pytest.mark.usefixtures("quiet")
def test_too_little_evidence_is_undecided_and_says_how_much_is_needed(
    mlp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (str(mlp), "--slo", "500ms", "--load", "20", "--duration", "1s")
    found = as_json(capsys, 4, *asked)
    text = " ".join(in_words(capsys, found).split())
    assert "UNDECIDED whether p99 <= 500 ms is not proven either way" in text
    assert "-> measure for about" in text
    side = found["sides"][0]
    assert side["validity"]["valid"]
    assert side["slo"]["answer"] == "UNDECIDED"


def test_a_disturbed_run_is_invalid_whatever_its_verdict(
    mlp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "disturbed_because", lambda one, cores: ["9.0 % [stolen]"])
    found = as_json(capsys, 4, str(mlp), *QUICK, "--duration", "1.5s")
    text = in_words(capsys, found)
    assert re.search(r"^INVALID: .*9\.0 % \[stolen\]", text, re.M)
    assert "PASS" in text
    assert "`autotune doctor` says what disturbs" in " ".join(text.split())
    side = found["sides"][0]
    assert not side["validity"]["valid"]
    assert side["slo"]["answer"] == "PASS"


@pytest.mark.usefixtures("quiet")
def test_two_configurations_are_compared_round_by_round(
    mlp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single, "MIN_ROUND_S", 0.5)
    knobs = "intra-op-threads=1, max-batch-size=4, batch-timeout=2ms"
    found = as_json(capsys, 0, str(mlp), *QUICK, "--duration", "7s", "--compare", knobs)
    first, second = found["sides"]
    assert (first["config"]["max_batch_size"], second["config"]["max_batch_size"]) == (1, 4)
    assert first["windows"] == second["windows"] == 6
    assert first["summary"]["requests"] == second["summary"]["requests"]
    assert second["summary"]["mean_batch_size"] > 1
    latency, *_, cpu = found["differences"]
    assert (latency["what"], cpu["what"]) == ("p90", "CPU time per request")
    text = in_words(capsys, found)
    assert "1 x 1 thread over 1 x 1 thread, batch 4, wait 2 ms, 6 interleaved rounds:" in text
    assert re.search(r"^p90 +[0-9.]+ +[0-9.]+ to [0-9.]+ +[0-9.]+ +(differs|noise)$", text, re.M)


def mistakes(mlp: Path, stateful: Path, folder: Path) -> dict[tuple[str, ...], str]:
    (folder / "backwards.csv").write_text("0\n2\n1\n")
    (folder / "mix.csv").write_text("weight,shape\n1,x=1x256\n2,x=1x7\n")
    model, slo = str(mlp), ("--slo", "50ms")
    good = (model, *slo, "--load", "10")
    return {
        (): "measure needs MODEL",
        (model,): "--slo",
        (model, "--slo", "50", "--load", "10"): "no unit",
        (model, *slo): "say at which load: --load 100",
        (model, *slo, "--load", "0"): "above zero",
        (model, *slo, "--load", "-1"): "above zero",
        (model, *slo, "--load", "nan"): "is not a load",
        (model, *slo, "--load", "1,2"): "names several loads",
        (model, *slo, "--loads", "10"): "did you mean '--load'?",
        ("missing.onnx", *slo, "--load", "10"): "no such file",
        ("nopackage:", *slo, "--load", "10"): "no package 'nopackage'",
        (str(folder), *slo, "--load", "10"): "directory",
        (*good, "--percentile", "0"): "between 0 and 100",
        (*good, "--percentile", "nan"): "is not a percentage",
        (*good, "--percentile", "99.99999999999999"): "between 0 and 100",
        (*good, "--confidence", "100"): "below 100",
        (*good, "--confidence", "49"): "at least 50",
        (*good, "--confidence", "nan"): "is not a percentage",
        (*good, "--duration", "5"): "--duration '5' has no unit",
        (*good, "--duration", "0s"): "above zero",
        (*good, "--duration", "25h"): "more than a day",
        (*good, "--duration", "2s", "--compare", "default", "--replicas", "2"): "too short",
        (*good, "--replicas", "0"): "--replicas 0 must lie between 1 and",
        (*good, "--replicas", "1e3"): "--replicas '1e3' is not a whole number",
        (*good, "--intra-op-threads", "-1"): "--intra-op-threads -1 must lie between 0",
        (*good, "--inter-op-threads", "2"): "no effect in sequential execution",
        (*good, "--execution-mode", "parallel"): "needs --inter-op-threads of 2 or more",
        (*good, "--execution-mode", "both"): "neither sequential nor parallel",
        (*good, "--max-batch-size", "0"): "must lie between 1",
        (*good, "--batch-timeout", "2ms"): "no effect without batches",
        (*good, "--max-batch-size", "2", "--batch-timeout", "2"): "no unit",
        (*good, "--max-batch-size", "2", "--batch-timeout", "2h"): "more than an hour",
        (*good, "--compare", "default"): "the same configuration",
        (*good, "--compare", "replicas=1"): "the same configuration",
        (*good, "--compare", ""): "write default, or knobs like",
        (*good, "--compare", "default,replicas=2"): "write default, or knobs like",
        (*good, "--compare", "threads=2"): "no knob 'threads': name some of replicas, intra-op",
        (*good, "--compare", "replicas=2,replicas=3"): "replicas is given twice",
        (*good, "--compare", "replicas=two"): "--compare replicas 'two' is not a whole number",
        (*good, "--compare", "spinning=maybe"): "--compare spinning 'maybe' is neither yes nor no",
        (*good, "--compare", "inter-op-threads=2"): "add --compare execution-mode parallel",
        (*good, "--compare", "batch-timeout=2ms"): "add --compare max-batch-size of 2",
        (*good, "--arrivals", "poisson", "--trace", "a.csv"): "give one of them",
        (*good, "--arrivals", "often"): "is none of poisson",
        (*good, "--trace", "none.csv"): "cannot be read",
        (*good, "--trace", str(folder / "backwards.csv")): "line 3",
        (*good, "--seed", "-1"): "must not be negative",
        (*good, "--shape", "x=1x7"): "x=1x7",
        (*good, "--input", "none.npz"): "no such file",
        (*good, "--requests", "mix.csv", "--shape", "x=1x256"): "give one of them",
        (*good, "--requests", str(folder / "mix.csv")): "line 3: x=1x7: the model wants",
        (str(stateful), *slo, "--load", "9", "--max-batch-size", "2"): "cannot be batched: input",
    }


def test_every_mistake_gets_one_line_and_exit_code_2(
    mlp: Path, stateful: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in mistakes(mlp, stateful, tmp_path).items():
        code = run(["measure", *arguments])
        out, err = capsys.readouterr()
        errors = [line for line in err.splitlines() if not line.endswith(" ...")]
        assert code == 2, (arguments, err)
        assert len(errors) == 1, (arguments, err)
        assert errors[0].startswith("error: "), (arguments, err)
        assert message in errors[0], (arguments, errors)
        assert out == ""


def test_replicas_beyond_memory_are_refused_before_anything_is_measured(
    mlp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single, "available_memory_bytes", lambda: 10 << 20)
    assert run(["measure", str(mlp), *QUICK, "--replicas", "9"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    loading, error = err.splitlines()
    assert loading.startswith("loading the model ")
    assert re.fullmatch(
        r"error: 9 x 1 thread: 9 replicas x [0-9]+ MiB = [0-9]+ MiB is more than the 10 MiB left; "
        r"give fewer --replicas",
        error,
    )


def test_mistakes_leave_no_traceback_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autotune", "measure", "missing.onnx", "--slo", "50ms"]
    done = subprocess.run([*command, "--load", "1"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: missing.onnx: no such file\n"


def test_a_name_that_the_terminal_cannot_spell_is_printed_all_the_same(
    mlp: Path, tmp_path: Path
) -> None:
    model = tmp_path / "modèle.onnx"
    model.write_bytes(mlp.read_bytes())
    command = [sys.executable, "-m", "autotune", "measure", model.name, *QUICK, "--duration", "1s"]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=plain)
    assert done.returncode in (0, 4), done.stderr
    text = done.stdout.decode("ascii")
    assert text.startswith("mod?le.onnx at 200 requests/s (poisson)")
    assert "####" in text
    done = subprocess.run([*command, "--json"], capture_output=True, cwd=tmp_path, env=plain)
    assert json.loads(done.stdout)["model"] == model.name


def test_an_interrupt_says_so_and_prints_no_verdict(mlp: Path) -> None:
    command = [sys.executable, "-m", "autotune", "measure", str(mlp)]
    endless = ["--slo", "500ms", "--load", "5", "--duration", "60s"]
    with subprocess.Popen(
        [*command, *endless], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("measuring "):
                break
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted before there was a verdict"
    assert out == ""


def troubled(seed: int, slow: float = 1.0) -> Measured:
    """Slow, lost, disturbed and throttled at once: everything that there is to say."""
    rng = np.random.default_rng(seed)
    run = run_of(slow * rng.lognormal(2.0, 2.5, 4000), lost=900, queueing_s=1.0)
    return msgspec.structs.replace(
        run,
        scheduled_s=run.scheduled_s * 10_000,
        finished_s=run.scheduled_s * 10_000 + run.latency_s,
        joules=98765.0,
        batch_size=np.full(4000, 32.0),
        disturbance=msgspec.structs.replace(QUIET, throttled_periods=12345, throttled_s=99.9),
        disturbed=["12.3 % of CPU time stolen by the hypervisor", "12345 pages swapped"],
        peak_memory_bytes=123 << 30,
    )


Render = Callable[[str], str]


@pytest.fixture
def render(info: ModelInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """Print the longest of answers in an encoding."""
    model = tmp_path / ("a-rather-long-name-of-a-model" * 4 + ".onnx")
    model.write_bytes(b"model")
    config = ServingConfig(
        replicas=64,
        intra_op_threads=64,
        inter_op_threads=64,
        execution_mode="parallel",
        max_batch_size=512,
        batch_timeout_ms=1234.5,
    )
    question = MeasureQuestion(
        model=ModelSpec(path=str(model)),
        name=str(model),
        slo=Slo(latency_ms=12345.6, percentile=99.99),
        traffic=Traffic(load_rps=123456.7),
        config=config,
        other=RUNTIME_DEFAULT,
        confidence=0.999,
        duration_s=3600.0,
        seed=0,
    )
    sides = [
        Runs(config, [troubled(seed) for seed in range(6)], 63.99, 12345.678),
        Runs(RUNTIME_DEFAULT, [troubled(seed + 9, 9.0) for seed in range(6)], 0.0, 1.0),
    ]
    slow = msgspec.structs.replace(info, engine_batch_s=1.0)
    found = weigh(question, slow, sides)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def rendered(encoding: str) -> str:
        screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", screen)
        print_page(measurement_page(found))
        screen.flush()
        buffer = screen.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(encoding)

    return rendered


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_longest_answer_fits_80_columns_and_loses_nothing(
    render: Render, encoding: str
) -> None:
    text = render(encoding)
    assert all(len(line) <= 80 or " " not in line for line in text.splitlines())
    assert "…" not in text
    assert "\x1b" not in text
    joined = " ".join(text.split())
    for words in (
        "64 x 64 threads, parallel(64), spin, batch 512, wait 1234.5 ms",
        "12.3 % of CPU time stolen by the hypervisor (worst of 6 of 6)",
        "12345 pages swapped",
        "p99.99 > 12345.6 ms at 99.9 % confidence",
        "slowest 0.01 %",
        "J per request",
        "batches of 32.00 on average",
        "after idle gaps of half a second or more",
        "the cgroup throttled it in 12345 periods",
        "--percentile 99.99 --load 123457",
        "6 interleaved rounds:",
    ):
        assert words in joined


def test_bars_are_blocks_where_they_can_be_spelt_and_signs_elsewhere(render: Render) -> None:
    blocks, signs = render("utf-8"), render("ascii")
    assert "█" in blocks
    assert blocks.replace("█", "#") == signs
