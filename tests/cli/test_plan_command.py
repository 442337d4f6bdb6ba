"""`autotune plan`: what it asks for, prints, writes and exits with; refusals in one line."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from planned_fleet import PLAN, UNMET
from tuned_types import made_type

from autotune import config_file
from autotune.cli.app import run
from autotune.cli.exit_codes import ExitCode
from autotune.planning.question import PlanQuestion
from autotune.planning.records import Plan
from autotune.spec import Slo

Capture = pytest.CaptureFixture[str]
PRICES = """
currency = "USD"
[machines.small]
price_per_hour = 0.1
[machines.large]
price_per_hour = 0.2
"""


class Maker:
    """Stands in for what plans, and remembers the question."""

    def __init__(self) -> None:
        self.plan: Plan = PLAN
        self.question: PlanQuestion | None = None

    def make_plan(self, question: PlanQuestion) -> Plan:
        self.question = question
        return self.plan


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Maker:
    made = Maker()
    stand_in = SimpleNamespace(make_plan=made.make_plan)
    monkeypatch.setitem(sys.modules, "autotune.planning.make", stand_in)
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("small", "large", "other"):
        config_file.write(tmp_path / f"{name}.autotune.json", made_type())
    (tmp_path / "requests.csv").write_text("arrival_s\n" + "\n".join(map(str, range(100))))
    (tmp_path / "prices.toml").write_text(PRICES)
    return tmp_path


def plan(*words: str) -> int:
    given = ["small.autotune.json", "--trace", "requests.csv", "--prices", "prices.toml"]
    return run(["plan", *given, *words])


def test_it_asks_what_was_given(folder: Path, maker: Maker) -> None:
    words = ["large=other.autotune.json", "--slo", "80ms", "--step", "1m", "--seed", "7"]
    assert plan(*words, "--percentile", "95") == ExitCode.ANSWERED
    asked = maker.question
    assert asked is not None
    assert asked.names == {"small": "small.autotune.json", "large": "other.autotune.json"}
    assert asked.slo == Slo(latency_ms=80.0, percentile=95.0)
    assert (asked.step_s, asked.seed, asked.arriving.requests) == (60.0, 7, 100)
    assert list(asked.prices.machines) == ["small", "large"]


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(folder: Path, maker: Maker) -> None:
    (folder / "a=large.autotune.json").write_bytes((folder / "other.autotune.json").read_bytes())
    (folder / "a=large.autotune.json").rename(folder / "x=y.json")
    assert plan("large=x=y.json") == ExitCode.ANSWERED
    assert maker.question is not None
    assert maker.question.names["large"] == "x=y.json"


def test_the_exit_code_is_the_answer_and_the_page_or_the_json_is_printed(
    folder: Path, maker: Maker, capsys: Capture
) -> None:
    assert plan() == ExitCode.ANSWERED
    assert PLAN.summary.split(",")[0] in capsys.readouterr().out
    assert plan("--json") == ExitCode.ANSWERED
    assert json.loads(capsys.readouterr().out)["chosen"] == "spill_over"
    maker.plan = UNMET
    assert plan() == ExitCode.MISSED
    assert "-> Nearest is peak" in capsys.readouterr().out


def test_all_that_is_asked_for_is_written(folder: Path, maker: Maker, capsys: Capture) -> None:
    outputs = {
        "-o": "plan.json",
        "--report": "plan.html",
        "--png": "plan.png",
        "--svg": "plan.svg",
        "--hpa": "hpa.yaml",
        "--keda": "keda.yaml",
        "--ray": "ray.yaml",
    }
    assert plan(*(word for pair in outputs.items() for word in pair)) == ExitCode.ANSWERED
    err = capsys.readouterr().err
    assert err == "".join(f"Written to {name}\n" for name in outputs.values())
    assert json.loads((folder / "plan.json").read_text())["format"] == "autotune-plan"
    assert (folder / "plan.html").read_text().startswith("<!doctype html>")
    assert (folder / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "plan.svg").read_text().startswith("<svg")
    kinds = {
        one["kind"]
        for name in ("hpa.yaml", "keda.yaml")
        for one in yaml.safe_load_all((folder / name).read_text())
    }
    assert kinds == {"HorizontalPodAutoscaler", "ScaledObject"}
    assert "deployments" in yaml.safe_load((folder / "ray.yaml").read_text())


def test_without_a_plan_no_autoscaler_is_written(
    folder: Path, maker: Maker, capsys: Capture
) -> None:
    maker.plan = UNMET
    assert plan("--hpa", "hpa.yaml", "-o", "plan.json") == ExitCode.MISSED
    assert "--hpa: nothing is written: no plan meets the SLO" in capsys.readouterr().err
    assert not (folder / "hpa.yaml").exists()
    assert (folder / "plan.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("other.autotune.json", "has no machine 'other': say which one it is for by NAME=FILE"),
        ("=x.json", "'=x.json' is no NAME=FILE"),
        ("large=", "'large=' is no NAME=FILE"),
        ("larg=other.autotune.json", "has no machine 'larg'; did you mean 'large'?"),
        ("large=none.json", "none.json"),
        ("--slo 50", "--slo '50' has no unit"),
        ("--slo 2h", "--slo '2h' is more than an hour"),
        ("--percentile 0.5", "is a share: write 50"),
        ("--step 10ms", "--step '10ms' must be at least 1 s and at most an hour"),
        ("--seed -1", "--seed -1 must lie between 0 and"),
        ("-o prices.toml", "-o prices.toml: is read as well, and would be lost"),
        ("-o small.autotune.json", "is read as well"),
        ("--png a --svg a", "--svg a: is where --png writes as well"),
        ("--trace other.csv", "--trace is given twice"),
        ("--prices other.toml", "--prices is given twice"),
        ("--report r.json", "--report r.json: a report is no JSON"),
        ("-o x.autotune.json", "-o x.autotune.json: is named like a tuned file"),
        ("--repot r.html", "plan has no option '--repot'; did you mean '--report'?"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, maker: Maker, capsys: Capture, words: str, said: str
) -> None:
    assert plan(*words.split()) == ExitCode.MISTAKE
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ("", "has no requests"),
        ("1\n", "has one request only"),
        ("1\n1\n", "arrive at one moment"),
        ("2\n1\n", "order"),
        ("1\nx\n", "line 2"),
    ],
)
def test_a_trace_that_says_nothing_is_refused(
    folder: Path, maker: Maker, capsys: Capture, trace: str, said: str
) -> None:
    (folder / "requests.csv").write_text(trace)
    assert plan() == ExitCode.MISTAKE
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_what_it_needs_is_named(folder: Path, maker: Maker, capsys: Capture) -> None:
    assert run(["plan", "small.autotune.json", "--trace", "requests.csv"]) == ExitCode.MISTAKE
    assert "plan needs --prices, as in autotune plan" in capsys.readouterr().err
    (folder / "prices.toml").write_text('currency = "USD"\n[machines.small]\n')
    assert plan() == ExitCode.MISTAKE
    assert "machines.small: says no price_per_hour" in capsys.readouterr().err
