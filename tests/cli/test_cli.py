"""The command line as a person meets it: in a process of its own, by exit code and output."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autotune.cli.app import run

GOLDEN = str(Path(__file__).parents[1] / "golden" / "v9.autotune.json")


def autotune(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autotune", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def mistakes(mlp: Path, images: Path, folder: Path) -> dict[tuple[str, ...], str]:
    (folder / "backwards.csv").write_text("arrival_s\n0\n2\n1\n")
    (folder / "other.txt").write_text("precious")
    (folder / "mix.csv").write_text("weight,shape\n1,x=1x256\n2,x=1x7\n")
    good = (str(mlp), "--slo", "50ms")
    (folder / "taken" / "magika").mkdir(parents=True)
    (folder / "taken" / "magika" / "config.pbtxt").write_text("precious")
    return {
        ("search", "missing.onnx", "--slo", "50ms"): "no such file",
        ("search", str(folder), "--slo", "50ms"): "directory",
        ("search", str(images), "--slo", "50ms"): "--shape x=1x3x224x224",
        ("search", str(mlp)): "--slo",
        ("search", str(mlp), "--slo", "0"): "above zero",
        ("search", str(mlp), "--slo", "-5ms"): "above zero",
        ("search", str(mlp), "--slo", "50"): "no unit",
        ("search", *good, "--load", "0"): "above zero",
        ("search", *good, "--load", "1e12"): "more than can be issued",
        ("search", *good, "--loads", "10,x"): "is not a load",
        ("search", *good, "--load", "1", "--loads", "1,2"): "give one of them",
        ("search", *good, "--arrivals", "poisson", "--trace", "a.csv"): "give one of them",
        ("search", *good, "--arrivals", "bursty"): "write it like bursty:4",
        ("search", *good, "--arrivals", "gaps:2h"): "up to 60 s",
        ("search", *good, "--trace", "none.csv"): "cannot be read",
        ("search", *good, "--trace", str(folder / "backwards.csv")): "line 4",
        ("search", *good, "--percentile", "100"): "between 0 and 100",
        ("search", *good, "--trials", "0"): "at least 1",
        ("search", *good, "--budget", "3"): "no unit",
        ("search", *good, "--shape", "x"): "NAME=SIZES",
        ("search", *good, "--shape", "z=1x2"): "no input 'z'",
        ("search", *good, "--input", "none.npz"): "no such file",
        ("search", *good, "--requests", "none.csv"): "cannot be read",
        ("search", *good, "--requests", "a.csv", "--shape", "x=1x256"): "give one of them",
        ("search", *good, "--requests", str(folder / "mix.csv")): "line 3: x=1x7: the model wants",
        ("search", *good, "--learn-from", "none.json"): "there is no such file",
        ("search", *good, "--learn-from", str(mlp)): "is not JSON",
        ("search", *good, "--learn-from", GOLDEN.replace("v9", "v6")): "teaches nothing",
        ("search", *good, "--incumbent", "none.json"): "cannot be read",
        ("search", *good, "--incumbent", str(mlp)): "is not JSON",
        ("search", *good, "-o", str(folder / "other.txt")): "not a tuned file",
        ("search", *good, "-o", str(folder / "none" / "a.json")): "no folder",
        ("show", "none.json"): "cannot be read",
        ("export",): "autotune export FILE --to SERVER",
        ("export", GOLDEN): "autotune export FILE --to SERVER",
        ("export", GOLDEN, "--to", "trition"): "choose one of onnxruntime, triton",
        ("export", GOLDEN, "--to", "triton", "--load", "1e5"): "was tuned for up to",
        ("export", GOLDEN, "--to", "triton", "--model", str(mlp)): "not the model that was tuned",
        ("export", GOLDEN, "--to", "triton", "-o", str(folder / "other.txt")): "cannot be written",
        ("export", GOLDEN, "--to", "triton", "-o", str(folder / "taken")): "replace with --force",
        ("check", GOLDEN): "check needs MODEL",
        ("check", str(mlp), str(mlp)): "is not JSON",
        ("check", GOLDEN, str(mlp)): "no input 'bytes'",
        ("check", GOLDEN, "none.onnx"): "no such file",
        ("check", GOLDEN, str(mlp), "--stale", "ignore"): "neither error nor warn",
        ("check", GOLDEN, str(mlp), "--tolerance", "10"): "below 100 %",
        ("check", GOLDEN, str(mlp), "--budget", "60"): "no unit",
        ("check", GOLDEN, str(mlp), "--junit", "none/a.xml"): "no folder none",
        ("verify", GOLDEN): "--server",
        ("verify", GOLDEN, "--server", "kserve"): "cannot be started here: choose one of",
        ("verify", GOLDEN, "--server", "torchserve"): "is not installed for",
        ("verify", GOLDEN, "--server", "onnxruntime", "--port", "70000"): "name another",
        ("verify", GOLDEN, "--server", "litserve", "--python", "/none"): "cannot be run",
        ("verify", GOLDEN, "--server", "triton", "--url", "localhost:1"): "write it like http://",
        ("verify", GOLDEN, "--server", "onnxruntime", "--model", "no.onnx"): "with --model",
        ("serch",): "no command 'serch'; did you mean 'search'?",
    }


def test_every_mistake_gets_one_line_and_exit_code_2(
    mlp: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, message in mistakes(mlp, images, tmp_path).items():
        code = run(arguments)
        out, err = capsys.readouterr()
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert code == 2, (arguments, err)
        assert len(errors) == 1, (arguments, err)
        assert message in errors[0], (arguments, errors)
        assert out == ""
    assert (tmp_path / "other.txt").read_text() == "precious"
    assert (tmp_path / "taken" / "magika" / "config.pbtxt").read_text() == "precious"


def test_help_and_version_load_no_runtime_and_no_pandas() -> None:
    script = (
        "import sys; from autotune.cli.app import run; run(['--help'])\n"
        "run(['search', '--help']); run(['measure', '--help'])\n"
        "heavy = {'onnxruntime', 'torch', 'pandas', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert autotune("--version").stdout.startswith("autotune ")


def test_the_parent_process_never_loads_the_runtime() -> None:
    script = (
        "import sys, autotune.tune, autotune.cli.live, autotune.cli.page\n"
        "assert not {'onnxruntime', 'torch', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_search_answers_writes_and_shows_the_same(stateful: Path, tmp_path: Path) -> None:
    question = ("search", str(stateful), "--slo", "50ms", "--loads", "50,400", "--budget", "16s")
    done = autotune(*question, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = tmp_path / "stateful.autotune.json"
    tuned = json.loads(written.read_text())
    assert [entry["load_rps"] for entry in tuned["policy"]] == [50, 400]
    assert all(entry["evidence"] == "confirmed" for entry in tuned["policy"])
    assert {trial["phase"] for trial in tuned["trials"]} == {"search", "confirm"}
    assert "first answer" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    shown = autotune("show", str(written))
    assert shown.returncode == 0
    assert shown.stdout.strip() == done.stdout.split("\nWritten to")[0].strip()
    assert autotune("show", "--json", str(written)).stdout == written.read_text()


def test_json_alone_is_on_stdout_and_an_slo_that_a_recorded_trace_misses_exits_1(
    mlp: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "arrivals.csv"
    trace.write_text("arrival_s\n" + "\n".join(f"{i * 0.01 + i // 50}" for i in range(400)))
    question = ("search", str(mlp), "--slo", "10us", "--trace", str(trace), "--budget", "6s")
    done = autotune(*question, "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    tuned = json.loads(done.stdout)
    assert tuned["status"] == "slo_not_met"
    assert tuned["arrivals"] == "trace"
    assert tuned["policy"][0]["binding"]["lowest_slo_ms"] > 0.01
    assert json.loads((tmp_path / "mlp.autotune.json").read_text()) == tuned


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_the_best_so_far_and_leaves_no_process(
    stateful: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    question = ["search", str(stateful), "--slo", "50ms", "--loads", "50,400", "--budget", "10s"]
    command = [sys.executable, "-m", "autotune", *question]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("search "):
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert "interrupted: writing the best so far" in errors
    tuned = json.loads((tmp_path / "stateful.autotune.json").read_text())
    assert tuned["status"] == "interrupted"
    assert tuned["trials"]
    assert _orphans() == []


def test_an_interrupt_before_any_answer_writes_nothing(mlp: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autotune", "search", str(mlp), "--slo", "50ms"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "nothing was written" in errors
    assert list(tmp_path.iterdir()) == []


def _orphans() -> list[str]:
    """Children of the measuring kind whose parent is gone."""
    deadline_s = time.monotonic() + 5
    while True:
        listing = subprocess.run(
            ["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True
        )
        found = [
            line
            for line in listing.stdout.splitlines()
            # Its last argument is the parent that started it.
            if "autotune.trial.child" in line and line.split()[-1] != line.split()[0]
        ]
        if not found or time.monotonic() > deadline_s:
            return found
        time.sleep(0.1)


def test_the_schema_is_printed() -> None:
    assert json.loads(autotune("schema").stdout)["$schema"].startswith("https://json-schema.org")


def test_show_prints_a_table_of_the_golden_file() -> None:
    done = autotune("show", str(GOLDEN))
    assert done.returncode == 0, done.stderr
    assert "runtime default" in done.stdout
    assert json.loads(Path(GOLDEN).read_text())["summary"].split()[0] in done.stdout
