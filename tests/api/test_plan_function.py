"""`autotune.plan`: arguments become a question, a plan becomes a result."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from planned_fleet import PLAN, UNMET
from tuned_types import made_type

from autotune import config_file
from autotune.embed import Tuned
from autotune.errors import AutotuneError, UsageError
from autotune.planning.question import PlanQuestion
from autotune.planning.records import Plan
from autotune.spec import Slo

PRICES = {
    "currency": "USD",
    "machines": {"small": {"price_per_hour": 0.1}, "large": {"price_per_hour": 0.2}},
}
TRACE = np.arange(100.0)
asked: list[PlanQuestion] = []


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function's module, with something that stands in for what plans."""
    asked.clear()

    def make_plan(question: PlanQuestion) -> Plan:
        asked.append(question)
        return UNMET if question.slo.latency_ms < 20 else PLAN

    monkeypatch.setitem(sys.modules, "autotune.planning.make", SimpleNamespace(make_plan=make_plan))
    from autotune.api import plan as module

    monkeypatch.setattr(module, "make_plan", make_plan)
    return module


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.autotune.json"
    config_file.write(path, made_type())
    return path


def test_files_are_a_dict_a_list_or_one(api: Any, file: Path) -> None:
    tuned = Tuned(made_type())
    api.plan({"small": file, "large": tuned}, trace=TRACE, prices=PRICES)
    assert list(asked[-1].files) == ["small", "large"]
    api.plan([str(file)], trace=TRACE, prices=PRICES)
    assert asked[-1].names == {"small": str(file)}
    api.plan(file, trace=TRACE, prices=PRICES)
    assert list(asked[-1].files) == ["small"]
    only = {"currency": "USD", "machines": {"box": {"price_per_hour": 1}}}
    api.plan(tuned, trace=TRACE, prices=only)
    assert list(asked[-1].files) == ["box"]


def test_trace_and_prices_may_be_files(api: Any, file: Path, tmp_path: Path) -> None:
    trace, prices = tmp_path / "requests.csv", tmp_path / "prices.toml"
    trace.write_text("1\n2\n3\n")
    prices.write_text('currency = "EUR"\n[machines.small]\nprice_per_hour = 1')
    api.plan(file, trace=trace, prices=str(prices), slo_ms=80, percentile=95, step_s=60, seed=3)
    question = asked[-1]
    assert question.slo == Slo(latency_ms=80.0, percentile=95.0)
    assert (question.prices.currency, question.step_s, question.seed) == ("EUR", 60.0, 3)
    assert question.arriving.requests == 3


def test_the_result_prints_shows_and_becomes_what_is_wanted(
    api: Any, file: Path, tmp_path: Path
) -> None:
    found = api.plan(file, trace=TRACE, prices=PRICES)
    assert (found.answer, found.exit_code) == ("met", 0)
    assert "0.136 USD a million requests" in str(found)
    assert "<table" in found._repr_html_()
    assert repr(found).startswith("<autotune.PlanResult: met: Run 1 to 2")
    assert json.loads(found.to_json())["chosen"] == "spill_over"
    frame = found.to_pandas()
    assert list(frame["kind"]) == [one.kind for one in PLAN.policies]
    assert frame.loc[frame["chosen"], "kind"].tolist() == ["spill_over"]
    assert frame["machine_hours"].iloc[0] == sum(PLAN.policies[0].machine_hours)
    assert found.report(tmp_path / "plan.html").read_text().startswith("<!doctype html>")
    assert json.loads(found.save(tmp_path / "plan.json").read_text())["answer"] == "met"
    assert found.svg().startswith("<svg")
    assert found.png("costs").startswith(b"\x89PNG")
    for text in (found.hpa(), found.keda(), found.ray()):
        assert list(yaml.safe_load_all(text))


def test_a_plan_that_misses_the_slo_says_so(api: Any, file: Path) -> None:
    found = api.plan(file, trace=TRACE, prices=PRICES, slo_ms=10)
    assert (found.answer, found.exit_code) == ("not_met", 1)
    with pytest.raises(UsageError, match="no plan meets"):
        found.hpa()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"files": 3}, "files=3 is neither a file, nor several"),
        ({"files": {"small": 3}}, "files: 3 is no tuned file"),
        ({"files": {3: "x"}}, "files: 3 is not the name of a machine type"),
        ({"files": []}, "no tuned file is given"),
        ({"files": "none.json"}, "none.json"),
        ({"trace": "none.csv"}, "trace='none.csv'"),
        ({"trace": "x y"}, "trace"),
        ({"trace": ["a", "b"]}, "trace is neither a CSV file nor arrivals in seconds"),
        ({"trace": [2.0, 1.0]}, "in order of time"),
        ({"trace": [1.0]}, "trace: has one request only"),
        ({"prices": 3}, "prices=3 is not a path"),
        ({"prices": {}}, "prices: is empty"),
        ({"slo_ms": -1}, "slo_ms=-1 must be above zero"),
        ({"slo_ms": "50ms"}, "slo_ms='50ms' is not a number"),
        ({"percentile": 0.99}, "percentile=0.99 is a share: write 99"),
        ({"step_s": 0.1}, "step_s=0.1 must be at least 1 s"),
        ({"seed": -1}, "seed=-1 must lie between 0 and"),
        ({"seed": 0.5}, "seed=0.5 is not a whole number"),
    ],
)
def test_a_mistake_is_said_in_words_of_python(
    api: Any, file: Path, given: dict[str, Any], said: str
) -> None:
    arguments = {"files": file, "trace": TRACE, "prices": PRICES, **given}
    with pytest.raises(AutotuneError) as refused:
        api.plan(**arguments)
    assert said in str(refused.value)
    assert "--" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_without_a_type_is_told_how_to_name_it_in_python(api: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.autotune.json"
    config_file.write(path, made_type())
    with pytest.raises(UsageError, match=r'for by files=\{"NAME": file\}, with NAME one of'):
        api.plan(path, trace=TRACE, prices=PRICES)


def test_files_that_differ_in_their_slo_need_one(api: Any, file: Path) -> None:
    other = Tuned(made_type(slo=Slo(latency_ms=70.0)))
    with pytest.raises(UsageError, match="give slo_ms"):
        api.plan({"small": file, "large": other}, trace=TRACE, prices=PRICES)
