"""`autotune check` as CI meets it: exit codes, reports, and the examples' own scripts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import yaml
from msgspec.structs import replace
from onnx import helper, numpy_helper
from promised import file_for
from results import gate_report as report

from autotune import config_file, tune
from autotune.cli import ci
from autotune.cli.app import run
from autotune.cli.page import print_page
from autotune.present.gate import gate_page
from autotune.spec import ServingConfig
from autotune.stages import gate_rounds
from autotune.stages.events import Observer
from autotune.stages.gate import GateAnswer
from autotune.stages.gate_rounds import GateQuestion, GateRuns
from autotune.trial import watch
from autotune.trial.measures import Measures

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"
TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)


@pytest.mark.parametrize(
    ("answer", "failures", "errors"),
    [("holds", 0, 0), ("slo_missed", 1, 0), ("regression", 1, 0), ("stale", 1, 0),
     ("undecided", 0, 1)],
)  # fmt: skip
def test_junit_counts_a_verdict_against_it_as_failure_and_doubt_as_error(
    answer: GateAnswer, failures: int, errors: int
) -> None:
    suite = ElementTree.fromstring(ci.junit_xml(report(answer)))
    assert (suite.get("failures"), suite.get("errors")) == (str(failures), str(errors))
    case = suite.find("testcase")
    assert case is not None
    assert len(list(case)) == failures + errors


def test_words_meant_to_break_out_of_xml_or_a_workflow_command_stay_words() -> None:
    evil = 'a"]]>\x00\x1b<&\n::error::pwned%0A, and: so | on'
    bad = replace(report("regression", (evil,)), file=evil, model=evil)
    suite = ElementTree.fromstring(ci.junit_xml(bad))
    assert "pwned" in ElementTree.tostring(suite, encoding="unicode")
    assert len(ci.github_annotation(bad).splitlines()) == 1
    heading = ci.github_summary(bad).splitlines()[0]
    assert heading.startswith("### ")
    assert "<&" not in heading


@pytest.mark.parametrize(
    ("answer", "level"), [("holds", "notice"), ("undecided", "warning"), ("stale", "error")]
)
def test_an_annotation_is_as_grave_as_the_verdict(answer: GateAnswer, level: str) -> None:
    assert ci.github_annotation(report(answer)).startswith(f"::{level} title=autotune check")


def test_a_report_prints_its_verdict_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_page(gate_page(report("regression", ("it is [bold]slower[/bold]",))))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("Regression against the file: it is [bold]slower[/bold]")


def two_layers(path: Path, width: int) -> Path:
    """`x` [batch, 256] -> `y` [batch, 256] in time proportional to the width."""
    rng = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        values = (rng.standard_normal(shape) * 0.05).astype(np.float32)
        return numpy_helper.from_array(values, name)

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 256])

    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"]),
    ]
    both = [weights("a", 256, width), weights("b", width, 256)]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], initializer=both)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@pytest.fixture
def promise(tmp_path: Path) -> Path:
    """`model.onnx` in the folder, and `model.autotune.json` as a search here would write it."""
    model = two_layers(tmp_path / "model.onnx", 4096)
    path = tmp_path / "model.autotune.json"
    config_file.write(path, file_for(model, {"x": [1, 256]}, TWO))
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows as short as they need to be here, and no word about this machine's other guests."""
    monkeypatch.setattr(gate_rounds, "MIN_WINDOW_S", 0.1)
    monkeypatch.setattr(watch, "disturbed_because", lambda one, cores: [])


@pytest.mark.usefixtures("quick")
def test_an_unchanged_model_holds_and_a_heavier_one_under_its_name_does_not(
    promise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, budget = tmp_path / "model.onnx", ("--budget", "11s", "--json")
    assert run(["check", str(promise), str(model), *budget]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["answer"] == "holds"
    assert held["stale"] == []
    two_layers(model, 4096 * 3 // 2)
    assert run(["check", str(promise), str(model), *budget]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["answer"] == "regression"
    assert "is not the model that was tuned" in found["stale"][0]
    assert found["execution"]["ratio"] > 1.2


@pytest.mark.usefixtures("quick")
def test_another_model_that_costs_the_same_is_stale_unless_that_is_only_worth_a_warning(
    promise: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = two_layers(tmp_path / "model.onnx", 4096 - 32)
    arguments = ["check", str(promise), str(model), "--budget", "11s"]
    runs: list[GateRuns] = []

    def measured_once(question: GateQuestion, bench: Measures, observe: Observer) -> GateRuns:
        if not runs:
            runs.append(gate_rounds.measure_gate(question, bench, observe))
        return runs[0]

    monkeypatch.setattr(tune, "measure_gate", measured_once)
    assert run(arguments) == 5
    assert "Made for another model, machine or runtime" in capsys.readouterr().out
    assert run([*arguments, "--stale", "warn"]) == 0
    assert "note:" in capsys.readouterr().out


def commands_of(example: str) -> tuple[str, dict[str, str]]:
    """Return the script that checks, and the variables around it."""
    value = yaml.safe_load((EXAMPLES / example).read_text())
    if example.startswith("github"):
        job = value["jobs"]["check"]
        (step,) = (one for one in job["steps"] if "autotune check" in one.get("run", ""))
        return step["run"], job["env"]
    job = value["autotune-check"]
    assert job["allow_failure"] == {"exit_codes": [4]}
    assert job["artifacts"]["reports"] == {"junit": "autotune.xml"}
    return "\n".join(job["script"]), job["variables"]


@pytest.mark.slow
@pytest.mark.parametrize("example", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_examples_run_as_their_services_would_run_them(
    promise: Path, tmp_path: Path, example: str
) -> None:
    script, variables = commands_of(example)
    summary = tmp_path / "summary.md"
    environment = {
        **os.environ,
        **variables,
        "BUDGET": "23s",
        "GITHUB_STEP_SUMMARY": str(summary),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    # On a busy machine it may be undecided, which GitHub's script lets pass and GitLab's keeps.
    assert done.returncode in (0, 4 if example.startswith("gitlab") else 0), done
    suite = ElementTree.parse(tmp_path / "autotune.xml").getroot()
    assert suite.get("tests") == "1"
    if example.startswith("github"):
        assert done.stdout.splitlines()[-1].startswith(("::notice ", "::warning "))
        assert summary.read_text().startswith("### autotune check model.autotune.json")
    bad = subprocess.run(
        command, cwd=tmp_path, env={**environment, "MODEL": "none.onnx"}, capture_output=True
    )
    assert bad.returncode == 2
    assert b"error: none.onnx: no such file" in bad.stderr
