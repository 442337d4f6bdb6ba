"""`autotune watch`: what it prints, what it exits with, refusals in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from queueing import serve
from searched import SPREAD, System, searched

from autotune import config_file
from autotune.cli.app import run
from autotune.cli.exit_codes import ExitCode

Capture = pytest.CaptureFixture[str]
SERVICE_MS = 6.0
PAGE = """\
magika:, SLO p99 <= 50 ms: 10,000 requests in 2 min 12 s, 76/s
Drifted: at 80/s latency is x1.74 [1.52-1.98] what was measured, at p95 (33.2 ms
where it was 19.1 ms), since 65.1 s into it
-> measure the entry for 80/s again: `autotune check model.autotune.json magika:
--load 80`
note: nothing was measured between 30/s and 80/s; closer loads tell more:
`autotune search magika: --slo 50ms --percentile 99 --arrivals poisson --loads
30,49,80`

load               requests  p50 ms  p95 ms  p99 ms   in SLO
30/s  in the file     7,201    6.13    11.9    15.8  100.0 %
      seen                0       -       -       -        -  not seen
80/s  in the file     7,237    7.39    19.1    27.3  100.0 %
      seen            9,800    9.33    27.5    42.0   99.5 %  slower

Any false alarm in the whole record: at most 1.0 % (7 questions, 100 requests a
block, tolerance 10 %).
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned file, and what services observed that were or were not what it says."""
    folder = tmp_path_factory.mktemp("watched")
    found = searched(System(chosen_ms=SERVICE_MS, requests=1200), 1, (30.0, 80.0))
    config_file.write(folder / "model.autotune.json", found)
    write(folder / "same.csv", 10_000, 1.0)
    write(folder / "slower.csv", 10_000, 1.35)
    write(folder / "hopeless.csv", 10_000, 3.0)
    write(folder / "short.csv", 200, 1.0)
    return folder


def write(path: Path, requests: int, slower: float) -> None:
    rng = np.random.default_rng(5)
    gaps_s = rng.exponential(1 / 75.0, requests)
    services_s = 1e-3 * SERVICE_MS * np.exp(SPREAD * rng.standard_normal(requests) - SPREAD**2 / 2)
    services_s[requests // 2 :] *= slower
    sojourn_s, _ = serve(gaps_s[None], services_s[None])
    columns = np.stack([np.cumsum(gaps_s), 1e3 * sojourn_s[0]], axis=1)
    np.savetxt(path, columns, "%.6f", ",", header="arrived_s,latency_ms", comments="")


def watch(folder: Path, name: str, *options: str) -> int:
    return run(
        ["watch", f"{folder}/model.autotune.json", "--observed", f"{folder}/{name}", *options]
    )


@pytest.mark.parametrize(
    ("name", "code", "answer"),
    [
        ("same.csv", ExitCode.ANSWERED, "fits"),
        ("slower.csv", ExitCode.DIFFERS, "drifted"),
        ("hopeless.csv", ExitCode.MISSED, "slo_missed"),
        ("short.csv", ExitCode.UNDECIDED, "too_little"),
    ],
)
def test_the_exit_code_is_the_answer(
    folder: Path, capsys: Capture, name: str, code: ExitCode, answer: str
) -> None:
    assert watch(folder, name, "--json") == code
    found = json.loads(capsys.readouterr().out)
    assert found["answer"] == answer
    assert found["false_alarms"] == 0.01
    assert watch(folder, name) == code


def test_the_page_is_the_answer_then_what_to_do_then_the_evidence(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["watch", "model.autotune.json", "--observed", "slower.csv"]) == ExitCode.DIFFERS
    assert capsys.readouterr().out == PAGE


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_it_fits_the_terminal(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", columns)
    for name in ("same.csv", "slower.csv", "short.csv"):
        run(["watch", "model.autotune.json", "--observed", name])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= int(columns)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--observed none.csv", "--observed none.csv: cannot be read: No such file"),
        ("--observed bad.csv", "--observed bad.csv: line 3: 'x' is not a latency"),
        ("--observed empty.csv", "--observed empty.csv: needs at least two requests"),
        ("--observed .", "--observed .: cannot be read"),
        ("--observed same.csv --false-alarms 2", "--false-alarms 2: must be above 0 and below"),
        ("--observed same.csv --false-alarms few", "--false-alarms few: is not a share"),
        ("--observed same.csv --tolerance 0", "--tolerance 0: must be above 0"),
        ("--observed a.csv --observed b.csv", "--observed is given twice"),
        ("--observd a.csv", "watch has no option '--observd'; did you mean '--observed'?"),
        ("", "watch needs --observed, as in autotune watch model.autotune.json --observed"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "bad.csv").write_text("arrived_s,latency_ms\n1,5\n2,x\n")
    (folder / "empty.csv").write_text("")
    assert run(["watch", "model.autotune.json", *options.split()]) == ExitCode.MISTAKE
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_what_strangers_wrote_steers_no_terminal(folder: Path, capsys: Capture) -> None:
    tuned = config_file.read(folder / "model.autotune.json")
    evil = replace(tuned, model=replace(tuned.model, name="x\x1b[31m\x9b2J"), arrivals="\x1b[2J")
    config_file.write(folder / "evil.autotune.json", evil)
    for name in ("slower.csv", "same.csv"):
        for option in ([], ["--json"]):
            run(
                ["watch", f"{folder}/evil.autotune.json", "--observed", f"{folder}/{name}", *option]
            )
    assert not {"\x1b", "\x9b"} & set(capsys.readouterr().out)
