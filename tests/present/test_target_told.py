"""What a result says of the server that it was measured through, wherever it is shown."""

from pathlib import Path

import pytest
from promised import TUNED, through_server

import autotune
from autotune import config_file
from autotune.cli.app import run
from autotune.comparison.premises import premises, same_system
from autotune.errors import UsageError
from autotune.present.answer import answer_page
from autotune.present.document import Line
from autotune.promise import demand_engine
from autotune.reports.markdown import markdown
from autotune.reports.page import page

SERVED = through_server()
AT_URL = through_server(url="http://127.0.0.1:8000/x")


def test_the_answer_says_what_the_engine_s_answer_became_there() -> None:
    lines = [part.text for part in answer_page(SERVED, False) if isinstance(part, Line)]
    assert "Measured through litserve 0.2.19, from request to answer." in lines
    (high,) = (line for line in lines if line.startswith("  160/s, p99 ms of 2 x 1 thread: "))
    assert high.endswith("22.3 in the engine, 33.5 through the server (x1.50)")
    assert not any("Measured through" in part for part in map(str, answer_page(TUNED, False)))


def test_reports_say_it_too() -> None:
    assert "\n- Measured through litserve 0.2.19, from request to answer.\n" in markdown(SERVED)
    assert "(x1.50)" in markdown(SERVED)
    assert "Measured through" not in markdown(TUNED)
    text = page(SERVED)
    assert "<dt>Server</dt><dd>Measured through litserve 0.2.19" in text
    assert "<dt>Not carried</dt><dd>replicas_as: each is a process</dd>" in text
    assert "<dt>Server</dt>" not in page(TUNED)


def test_a_server_s_promise_is_not_held_against_the_engine() -> None:
    demand_engine(TUNED, "a.json")
    verify = "`autotune verify a.json --server litserve`"
    with pytest.raises(UsageError, match=f"through litserve 0.2.19, .*: drive the .*{verify}"):
        demand_engine(SERVED, "a.json")
    with pytest.raises(UsageError, match=r"--server NAME --url http://127.0.0.1:8000/x`"):
        demand_engine(AT_URL, "a.json")


def test_check_and_plan_refuse_it_in_one_line_and_export_takes_it(
    tmp_path: Path, mlp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "served.autotune.json"
    config_file.write(path, SERVED)
    assert run(["check", str(path), str(mlp)]) == 2
    refused = capsys.readouterr().err
    assert refused.count("\n") == 1
    assert f"error: {path}: was measured through litserve 0.2.19" in refused
    with pytest.raises(UsageError, match="drive the server with `autotune verify"):
        autotune.check(path, str(mlp))
    prices, trace = tmp_path / "prices.toml", tmp_path / "trace.csv"
    prices.write_text('currency = "USD"\n[machines.served]\nprice_per_hour = 1.0\n')
    trace.write_text("arrived_s\n" + "".join(f"{number}\n" for number in range(100)))
    assert run(["plan", str(path), "--trace", str(trace), "--prices", str(prices)]) == 2
    told = capsys.readouterr().err
    assert "was measured through litserve 0.2.19, and a plan reckons" in told, told
    assert run(["export", str(path), "--to", "triton", "-o", str(tmp_path / "out")]) == 0


def test_engine_and_server_are_different_systems() -> None:
    assert [one.what for one in premises(TUNED, SERVED)] == ["through"]
    assert same_system(SERVED, SERVED)
    assert not same_system(TUNED, SERVED)
