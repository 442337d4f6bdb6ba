"""From arguments to a question, from an answer to a result; what measures is stood in for."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from promised import TUNED
from results import findings, gate_report, measurement, verified

import autotune
from autotune import tune
from autotune.api import doctor as doctor_module
from autotune.api import verify as verifying
from autotune.cli import ci
from autotune.config_file import TunedFile
from autotune.outcome import ModelInfo
from autotune.patterns import Bursty, Poisson
from autotune.records import Failed
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, Slo
from autotune.stages.events import Event, Said
from autotune.stages.gate import GateAnswer
from autotune.stages.gate_rounds import GateQuestion
from autotune.stages.question import MeasureQuestion, Question

GOLDEN = Path(__file__).parents[1] / "golden" / "v9.autotune.json"
TWO = ServingConfig(replicas=2, intra_op_threads=1)


class Asked:
    """Stands in for what measures, and remembers the question."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.question: Any = None

    def __call__(self, question: Any, *others: Any) -> Any:
        self.question, self.others = question, others
        others[-1](Said(text="asked"))
        return self.answer


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked(TUNED)
    monkeypatch.setattr(tune, "search", asked)
    return asked


def test_a_search_asks_what_the_command_would(mlp: Path, searching: Asked) -> None:
    tuned = autotune.search(
        str(mlp),
        slo_ms=50,
        percentile=95,
        loads_rps=[80, 20],
        arrivals="bursty:4",
        objective="cpu",
        safe=0.05,
        budget_s=60,
        trials=7,
        shapes={"x": (1, 256)},
        seed=3,
    )
    question = searching.question
    assert isinstance(question, Question)
    assert question.slo == Slo(latency_ms=50, percentile=95)
    assert question.traffics is not None
    assert [one.load_rps for one in question.traffics] == [20, 80]
    assert question.pattern == Bursty(factor=4)
    assert (question.objective, question.max_risk, question.max_trials) == ("cpu", 0.05, 7)
    assert (question.budget_s, question.seed, question.output) == (60, 3, None)
    assert (question.name, question.model.path) == (str(mlp), str(mlp))
    assert (question.model.shapes, question.model.seed) == ({"x": [1, 256]}, 3)
    assert (tuned.file, tuned.path) == (TUNED, None)


def test_what_is_not_said_is_left_to_the_search(mlp: Path, searching: Asked) -> None:
    autotune.search(mlp, slo_ms=50)
    question = searching.question
    assert (question.traffics, question.pattern, question.budget_s) == (None, Poisson(), None)
    assert (question.objective, question.max_risk, question.max_trials) == ("latency", None, None)


def test_arrays_stand_in_a_file_while_it_is_measured(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, places = np.ones((1, 256), np.float32), []

    def look(question: Question, observe: object) -> TunedFile:
        (kind,) = question.model.kinds
        assert kind.input_file is not None
        with np.load(kind.input_file) as archive:
            np.testing.assert_array_equal(archive["x"], array)
        places.append(Path(kind.input_file))
        return TUNED

    monkeypatch.setattr(tune, "search", look)
    autotune.search(mlp, slo_ms=50, input={"x": array})
    assert [place.exists() for place in places] == [False]


def test_events_go_where_they_are_wanted(
    mlp: Path, searching: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Event] = []
    autotune.search(mlp, slo_ms=50, progress=seen.append)
    assert seen == [Said(text="asked")]
    autotune.search(mlp, slo_ms=50)
    assert capsys.readouterr() == ("", "")
    autotune.search(mlp, slo_ms=50, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "asked" in err


def test_a_measurement_asks_what_the_command_would(
    mlp: Path, info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(measurement(info))
    monkeypatch.setattr(tune, "measure", asked)
    found = autotune.measure(
        mlp, slo_ms=50, load_rps=100, config=TWO, replicas=3, compare="default", confidence=95
    )
    question = asked.question
    assert isinstance(question, MeasureQuestion)
    assert (question.config, question.other) == (replace(TWO, replicas=3), RUNTIME_DEFAULT)
    assert (question.traffic.load_rps, question.confidence, question.duration_s) == (100, 0.95, 60)
    assert (found.answer, found.valid, found.exit_code) == ("PASS", True, 0)
    autotune.measure(mlp, slo_ms=50, trace=[0, 1, 4], compare=TWO)
    assert (asked.question.traffic.load_rps, asked.question.other) == (0.5, TWO)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, r"say at which load: load_rps=100, or trace='arrivals\.csv'"),
        ({"load_rps": [1, 2]}, "say at which load"),
        ({"load_rps": 1, "compare": "default"}, "compare names the same configuration"),
        ({"load_rps": 1, "compare": "fast"}, "compare='fast' is neither"),
        ({"load_rps": 1, "config": "2 x 1"}, "config='2 x 1' is not an autotune.ServingConfig"),
        ({"load_rps": 1, "confidence": 100}, "confidence=100 must be at least 50"),
        ({"load_rps": 1, "duration_s": 90_000}, "duration_s=90000 is more than a day"),
        ({"load_rps": 1, "inter_op_threads": 2}, "inter_op_threads=2 has no effect"),
    ],
)
def test_mistakes_of_a_measurement(mlp: Path, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(autotune.UsageError, match=f"^{complaint}"):
        autotune.measure(mlp, slo_ms=50, **given)


def test_a_check_asks_what_the_command_would(mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(gate_report())
    monkeypatch.setattr(tune, "check", asked)
    found = autotune.check(GOLDEN, mlp, shapes={"x": [1, 256]}, stale="warn", tolerance=0.2)
    question = asked.question
    assert isinstance(question, GateQuestion)
    assert (question.file, question.budget_s, question.tolerance) == (str(GOLDEN), 60, 0.2)
    assert question.entry.config == TUNED.recommended
    assert question.stale_fails is False
    assert "is not the model that was tuned" in question.stale[0]
    assert found.holds
    autotune.check(autotune.Tuned(TUNED), mlp, load_rps=20)
    assert (asked.question.file, asked.question.entry) == ("this result", TUNED.policy[0])
    assert asked.question.model.shapes == {"bytes": [1, 2048]}
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"stale": "ignore"}, "stale='ignore' is neither"),
        ({"load_rps": 1e5}, "load_rps=100000.0: .* was tuned for up to 160"),
        ({"tolerance": 10}, "tolerance=10 is not a share"),
    ]
    for given, complaint in mistakes:
        with pytest.raises(autotune.UsageError, match=f"^{complaint}"):
            autotune.check(GOLDEN, mlp, **given)


def test_a_verification_asks_what_the_command_would(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(verified())
    monkeypatch.setattr(verifying, "verify_policy", asked)
    found = autotune.verify(GOLDEN, server="onnxruntime", model=mlp, duration_s=2, port=None)
    assert found.as_promised
    question, place = asked.question, asked.others[0]
    assert (place.server, place.port, place.url) == ("onnxruntime", None, None)
    loads = [[entry.load_rps for entry in group] for group in question.groups]
    assert (loads, question.duration_s) == ([[30], [110, 160]], 2)
    autotune.verify(GOLDEN, server="onnxruntime", model=mlp, load_rps=100)
    assert [entry.load_rps for entry in asked.question.groups[0]] == [110]
    with pytest.raises(autotune.UsageError, match=r"none\.onnx: .*; say where the model lies with"):
        autotune.verify(GOLDEN, server="onnxruntime", model="none.onnx")
    with pytest.raises(autotune.UsageError, match="url='localhost:1': write it like"):
        autotune.verify(GOLDEN, server="triton", url="localhost:1", model=mlp)


def test_an_export_is_texts_until_it_is_saved(tmp_path: Path) -> None:
    exported = autotune.export(GOLDEN, to="litserve")
    assert exported.deployment.config == TUNED.recommended
    assert "knobs.json" in exported.files
    assert exported.not_carried == []
    written = exported.save(tmp_path / "out")
    assert {path.name: path.read_text() for path in written} == exported.files
    with pytest.raises(autotune.UsageError, match=r"^output='.*out': holds .*force=True$"):
        autotune.export(GOLDEN, to="litserve", output=tmp_path / "out")
    low = autotune.export(GOLDEN, to="litserve", output=tmp_path / "out", force=True, load_rps=20)
    assert low.deployment.config == RUNTIME_DEFAULT
    assert str(tmp_path) in str(low)
    loose = autotune.Tuned(replace(TUNED, recommended=replace(TWO, intra_op_threads=2)))
    assert autotune.export(loose, to="openvino").files != exported.files
    with pytest.raises(autotune.UsageError, match="there is no server 'trition'"):
        autotune.export(GOLDEN, to="trition")
    assert set(autotune.list_servers().names) > {"litserve", "triton"}


def test_doctor_says_what_spoils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "examine", findings)
    found = autotune.doctor()
    assert (found.healthy, found.exit_code) == (False, 1)
    assert "Stop it." in str(found)


def test_files_are_compared_listed_and_reported(tmp_path: Path) -> None:
    found = autotune.compare(GOLDEN, autotune.Tuned(TUNED))
    assert (found.differs, found.names) == (False, (str(GOLDEN), "this result"))
    files = autotune.ls(GOLDEN.parent)
    assert len(files) == 9
    assert [one.path for one in files] == files.paths
    (tmp_path / "bad.autotune.json").write_text("{")
    assert "is not JSON" in str(autotune.ls([GOLDEN, tmp_path]))
    assert "No tuned file" in str(autotune.ls(tmp_path))
    with pytest.raises(autotune.UsageError, match="no such file or folder"):
        autotune.ls(tmp_path / "none")


def test_a_report_is_a_page_a_picture_or_markdown(tmp_path: Path) -> None:
    made = autotune.report(GOLDEN, output=tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == made.html
    assert "latency" in made.pictures
    assert made.svg().startswith("<svg")
    assert made.png("policy").startswith(b"\x89PNG")
    assert str(made) == made.markdown
    frame = made._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert "<script" not in frame
    with pytest.raises(autotune.UsageError, match="there is no picture 'x' of this file"):
        made.svg("x")
    with pytest.raises(autotune.UsageError, match=r"^output='.*a\.json': a report is no JSON"):
        made.save(tmp_path / "a.json")


def test_a_call_can_be_rehearsed(
    mlp: Path, info: ModelInfo, monkeypatch: pytest.MonkeyPatch, searching: Asked
) -> None:
    plan = autotune.dry_run(autotune.search, mlp, slo_ms=50, budget_s=30)
    assert searching.question is None
    assert "at most about 30 s" in str(plan)
    assert "nothing was measured" in str(plan)
    assert "to find" in set(plan.to_pandas()["what"])
    with pytest.raises(autotune.UsageError, match=r"^slo_ms=0 must be above zero"):
        autotune.dry_run(autotune.search, mlp, slo_ms=0)
    with pytest.raises(autotune.UsageError, match="is none of search, measure, check and verify"):
        autotune.dry_run(autotune.schema)
    assert autotune.search(mlp, slo_ms=50).file is TUNED


def test_the_schema_is_that_of_the_file() -> None:
    assert autotune.schema()["$ref"].endswith("TunedFile")


def all_results(info: ModelInfo) -> list[Any]:
    return [
        autotune.Tuned(TUNED),
        autotune.MeasureResult(measurement(info, compared=True)),
        autotune.CheckResult(gate_report()),
        autotune.VerifyResult(verified()),
        autotune.DoctorResult(findings()),
        autotune.export(GOLDEN, to="triton"),
        autotune.list_servers(),
        autotune.compare(GOLDEN, GOLDEN),
        autotune.ls(GOLDEN),
    ]


def test_every_result_prints_shows_and_turns_into_pandas(info: ModelInfo) -> None:
    for result in all_results(info):
        name = type(result).__name__
        assert repr(result).startswith(f"<autotune.{name}: ")
        assert len(repr(result).splitlines()) == 1
        ordinary = [line for line in str(result).splitlines() if str(GOLDEN) not in line]
        assert max(map(len, ordinary)) <= 80, name
        assert result._repr_html_().startswith("<div>")
        frame = result.to_pandas()
        assert len(frame) >= 1, name
        assert not frame.isna().all(axis=1).any(), name


def test_frames_hold_what_the_records_do(info: ModelInfo) -> None:
    found = measurement(info, compared=True)
    frame = autotune.MeasureResult(found).to_pandas()
    assert frame["configuration"].tolist() == ["2 x 1 thread", "runtime default"]
    assert frame["p50_ms"].tolist() == [side.summary.p50.value_ms for side in found.sides]
    assert frame["answer"].tolist() == [side.slo.answer for side in found.sides]
    report = gate_report()
    gate = autotune.CheckResult(report).to_pandas().set_index("of")
    assert list(gate.index) == ["file", "now", "default"]
    assert gate.loc["now", "p99_ms"] == report.measured.p99.value_ms
    server = autotune.VerifyResult(verified(effect=False)).to_pandas()
    assert server["without_effect"].tolist() == ["replicas", "replicas"]
    assert server["promised_p50_ms"].notna().all()
    policy = autotune.Tuned(TUNED).to_pandas()
    assert set(policy["side"]) == {"chosen", "default"}
    assert len(autotune.Tuned(TUNED).trials()) == len(TUNED.trials)
    assert len(autotune.Tuned(TUNED).front()) == len(TUNED.front)


def test_exit_codes_are_those_of_the_commands(info: ModelInfo) -> None:
    checked = {
        one: autotune.CheckResult(gate_report(one)).exit_code for one in get_args(GateAnswer)
    }
    expected = {"holds": 0, "slo_missed": 1, "regression": 3, "undecided": 4, "stale": 5}
    assert checked == expected
    found = measurement(info)
    for answer, code in (("PASS", 0), ("FAIL", 1), ("UNDECIDED", 4)):
        for valid in (True, False):
            (side,) = found.sides
            other = replace(
                side,
                slo=replace(side.slo, answer=answer),
                validity=replace(side.validity, valid=valid),
            )
            one = replace(found, sides=[other])
            assert autotune.MeasureResult(one).exit_code == (code if valid else 4)
    assert autotune.VerifyResult(verified(effect=False)).exit_code == 3
    for status, code in (("complete", 0), ("slo_not_met", 1), ("interrupted", 130)):
        assert autotune.Tuned(replace(TUNED, status=status)).exit_code == code


def test_json_is_what_the_commands_print(info: ModelInfo) -> None:
    found = measurement(info)
    assert msgspec.json.decode(autotune.MeasureResult(found).to_json(), type=type(found)) == found
    assert json.loads(autotune.Tuned(TUNED).to_json()) == json.loads(GOLDEN.read_text())
    report = gate_report("regression")
    assert autotune.CheckResult(report).junit_xml() == ci.junit_xml(report)
    assert autotune.CheckResult(report).github_annotation() == ci.github_annotation(report)
    assert autotune.CheckResult(report).github_summary() == ci.github_summary(report)


def test_a_result_is_saved_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = autotune.Tuned(TUNED)
    path = tuned.save(tmp_path / "a.autotune.json")
    assert autotune.load(path, stale="ignore").file == TUNED
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(autotune.UsageError, match=r"^output='.*precious\.txt': exists and is not"):
        tuned.save(tmp_path / "precious.txt")
    room = import_module("autotune.reports.page")
    monkeypatch.setattr(room, "page", lambda file: f"page of {file.model.name}")
    assert tuned.report(tmp_path / "report.html").read_text() == "page of magika:"


def test_a_failed_trial_stands_in_the_frame_of_trials() -> None:
    failed = replace(
        TUNED.trials[0], measured=None, failure=Failed(kind="timeout", detail="no answer")
    )
    frame = autotune.Tuned(replace(TUNED, trials=[failed, *TUNED.trials])).trials()
    assert frame["failure"].tolist()[0] == "timeout"
