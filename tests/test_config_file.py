import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from drawn import DRAWN
from promised import through_server

from autotune import config_file
from autotune.errors import ConfigFileError, UsageError

GOLDEN = Path(__file__).parent / "golden" / "v9.autotune.json"


def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(GOLDEN.read_text())
    return loaded


def test_the_golden_file_of_this_version_reads_and_writes_unchanged() -> None:
    assert config_file.to_json(config_file.read(GOLDEN)) == GOLDEN.read_text()


def test_a_file_of_version_1_is_read_with_what_it_did_not_record_unknown() -> None:
    old = config_file.read(GOLDEN.with_name("v1.autotune.json"))
    low = old.policy[0]
    assert low.measured is not None
    assert low.measured.issue_lateness_ms is None
    assert low.measured.joules_per_request is None
    assert low.measured.disturbed == []
    assert json.loads(config_file.to_json(old))["schema_version"] == 9


def test_a_file_of_version_2_is_read_with_what_it_did_not_record_unknown() -> None:
    old = config_file.read(GOLDEN.with_name("v2.autotune.json"))
    assert old.front == []
    assert (old.search.objective, old.search.max_risk) == ("latency", None)
    assert old.search.prediction is not None
    assert old.search.prediction.objective == pytest.approx(1.57, abs=0.01)
    assert old.search.prediction.p50 is None
    missed = [trial for trial in old.trials if trial.measured and not trial.measured.meets_slo]
    assert old.search.violations == len(missed)


def test_a_file_of_version_3_is_read_without_what_an_execution_cost() -> None:
    old = config_file.read(GOLDEN.with_name("v3.autotune.json"))
    assert old.reference is None
    assert old.policy == config_file.read(GOLDEN).policy


def test_a_file_of_version_4_is_read_without_what_a_report_draws() -> None:
    old = config_file.read(GOLDEN.with_name("v4.autotune.json"))
    assert (old.finalists, old.curves, old.lattice, old.repeat) == ([], [], None, None)
    assert {trial.at_s for trial in old.trials} == {None}
    assert old.trials


def test_lists_of_plain_values_stand_on_one_line_whatever_texts_hold() -> None:
    nasty = "[\n  1,\n  2\n]"
    tuned = msgspec.structs.replace(config_file.read(GOLDEN), summary=nasty, repeat=["a", "b"])
    text = config_file.to_json(tuned)
    assert '  "repeat": ["a", "b"]' in text
    assert msgspec.json.decode(text, type=config_file.TunedFile) == tuned


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_file_that_lacks_its_parts_is_refused_in_one_line(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"format": "autotune", "schema_version": version}))
    with pytest.raises(ConfigFileError, match=f"is not a file of version {version}"):
        config_file.read(path)


@pytest.mark.parametrize(
    ("low", "high", "differs"),
    [(0.5, 0.9, True), (1.1, 1.3, True), (0.9, 1.2, False), (None, 0.9, True), (None, None, False)],
)
def test_a_gain_of_version_1_differs_where_its_interval_leaves_one_out(
    tmp_path: Path, low: float | None, high: float | None, differs: bool
) -> None:
    old = json.loads(GOLDEN.with_name("v1.autotune.json").read_text())
    gains = [entry["gain"] for entry in old["policy"] if entry["gain"] is not None]
    gains[0] |= {"low": low, "high": high}
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    read = [entry.gain for entry in config_file.read(path).policy if entry.gain is not None]
    assert read[0].latency_differs is differs


def test_a_file_of_version_5_is_read_as_what_ran_on_the_cpu(tmp_path: Path) -> None:
    old = json.loads(GOLDEN.with_name("v5.autotune.json").read_text())
    knobs = {name: [value, value] for name, value in old["recommended"].items()}
    seen = {
        "predicted_ms": [[9.0, 9.0] for _ in old["policy"]],
        "region_of": [[-1, 0] for _ in old["policy"]],
        "points_left_out": 0,
    }
    path = tmp_path / "old.autotune.json"
    path.write_text(json.dumps({**old, "lattice": knobs | seen}))
    read = config_file.read(path)
    assert {trial.config.provider for trial in read.trials} == {"cpu"}
    assert read.lattice is not None
    assert read.lattice.form == ["as_given", "as_given"]
    assert (read.search.placements, read.machine.gpus, read.model.function) == ([], [], None)


def test_a_file_of_version_6_has_nothing_to_teach() -> None:
    read = config_file.read(GOLDEN.with_name("v6.autotune.json"))
    assert (read.lesson, read.search.learnt, read.search.strategy) == (None, None, "rrl")


def test_a_file_of_version_7_has_nothing_to_plan_with() -> None:
    read = config_file.read(GOLDEN.with_name("v7.autotune.json"))
    assert (read.service, read.power, read.trade_offs) == (None, None, [])
    assert read.policy == config_file.read(GOLDEN).policy


def test_a_file_of_version_8_was_measured_in_the_engine_itself() -> None:
    read = config_file.read(GOLDEN.with_name("v8.autotune.json"))
    assert read.target is None
    assert read == config_file.read(GOLDEN)


def test_a_file_of_a_server_reads_and_writes_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "served.autotune.json"
    served = through_server()
    config_file.write(path, served)
    assert config_file.read(path) == served
    jsonschema.validate(json.loads(path.read_text()), config_file.json_schema())


def test_a_server_that_was_measured_at_other_loads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    file = json.loads(config_file.to_json(through_server()))
    del file["target"]["loads"][0]
    path.write_text(json.dumps(file))
    with pytest.raises(ConfigFileError, match="`target` has not one load for each of the policy"):
        config_file.read(path)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda one: one["configs"][0]["crowding"].append(1.0), "one slow-down a number of busy"),
        (lambda one: one["configs"].pop(0), "is not among those of `service`"),
        (lambda one: one["configs"][0].update(rests=99), "no kind of rests"),
        (lambda one: one["rests_s"][0][0].pop(), "rests in `service` are not 64"),
        (lambda one: one["jitter"].reverse(), "are not ascending"),
        (lambda one: one["alone"].reverse(), "are not ascending"),
        (lambda one: one["configs"][0]["batch_s"].append(1e300), "none that there can be"),
        (lambda one: one["configs"][0]["config"].update(max_batch_size=1024), "among those"),
    ],
)
def test_service_times_that_contradict_themselves_are_refused(
    tmp_path: Path, break_it: Callable[[dict[str, Any]], None], message: str
) -> None:
    file = golden()
    break_it(file["service"])
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(file))
    with pytest.raises(ConfigFileError, match=message):
        config_file.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"power": None}, "lack the `power` that they go by"),
        ({"power": {"idle_watts": 1e9}}, "none that a machine draws"),
        ({"trade_offs": {"load_rps": 31.0}}, "a load in `trade_offs` is none of the policy"),
        ({"trade_offs": {"joules_per_request": 1e300}}, "none that there can be"),
    ],
)
def test_energy_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = golden()
    for name, fields in change.items():
        if fields is None:
            file[name] = None
        else:
            (file[name][0] if name == "trade_offs" else file[name]).update(fields)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(file))
    with pytest.raises(ConfigFileError, match=message):
        config_file.read(path)


def test_the_golden_file_fits_the_published_schema() -> None:
    jsonschema.validate(golden(), json.loads(config_file.SCHEMA_PATH.read_text()))


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(config_file.SCHEMA_PATH.read_text()) == config_file.json_schema()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 10}, "schema version 10"),
        ({"schema_version": "6"}, "schema version '6'"),
        ({"schema_version": True}, "schema version True"),
        ({"format": "other"}, "is not a tuned file"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"policy": "none"}, r"Expected `array`, got `str` - at `\$.policy`"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(golden() | change))
    with pytest.raises(ConfigFileError, match=message) as raised:
        config_file.read(path)
    assert str(path) in str(raised.value)


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    value = golden()
    change(value)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["recommended"].update(replicas=0), ">= 1 - at `.*replicas`"),
        (lambda file: file["recommended"].update(replicas=10**30), "replicas"),
        (lambda file: file["recommended"].update(intra_op_threads=-1), "intra_op_threads"),
        (lambda file: file["recommended"].update(spinning="no"), "got `str` - at `.*spinning`"),
        (lambda file: file["recommended"].update(batch_timeout_ms=1e300), "batch_timeout_ms"),
        (lambda file: file["recommended"].update(extra=1), "unknown field `extra`"),
        (lambda file: file["slo"].update(percentile=100), "percentile"),
        (lambda file: file["model"].update(sha256="../../x"), "sha256"),
        (lambda file: file.update(policy=[]), "length >= 1 - at `.*policy`"),
        (lambda file: file["policy"].reverse(), "not ascending"),
        (lambda file: file["policy"][0].update(load_rps=0), "load_rps"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = changed(tmp_path, change)
    with pytest.raises(ConfigFileError, match=message):
        config_file.read(path)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    data = GOLDEN.read_bytes()
    path = tmp_path / "cut.json"
    for end in range(1, len(data) - 1, 997):
        path.write_bytes(data[:end])
        with pytest.raises(ConfigFileError, match="is not JSON"):
            config_file.read(path)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{}", b"1" * 10_000])
def test_json_meant_to_break_a_parser_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    with pytest.raises(ConfigFileError):
        config_file.read(path)


def test_loading_needs_one_small_package_and_executes_nothing() -> None:
    script = (
        "import sys, autotune\n"
        "autotune.load(sys.argv[1], stale='ignore')\n"
        "own = {n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(n for n in own if not n.startswith('_')))"
    )
    command = [sys.executable, "-S", "-c", script, str(GOLDEN)]
    done = subprocess.run(command, capture_output=True, text=True, env=bare_environment())
    assert done.returncode == 0, done.stderr
    # msgspec looks whether typing_extensions is there, and does without.
    own = set(ast.literal_eval(done.stdout)) - {"typing_extensions"}
    assert own == {"autotune", "msgspec"}


def bare_environment() -> dict[str, str]:
    """Python finds the packages, but starts none of the helpers that an installation adds."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize("text", ["", "not json", "[]", "null", '{"format": 1}'])
def test_what_is_no_tuned_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ConfigFileError):
        config_file.read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="No such file"):
        config_file.read(tmp_path / "none.json")


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    config_file.write(path, config_file.read(GOLDEN))
    assert path.read_text() == GOLDEN.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_found_before_measuring(tmp_path: Path) -> None:
    other = tmp_path / "model.onnx"
    other.write_bytes(b"precious")
    for path, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "none" / "out.json", "no folder"),
        (other, "is not a tuned file"),
    ):
        with pytest.raises(UsageError, match=message):
            config_file.check_writable(path)
    assert other.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [other]


def test_an_older_or_newer_tuned_file_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"format": "autotune", "schema_version": 99}))
    config_file.check_writable(path)
    assert path.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file["model"].update(request_shapes={}),
            "no shape in `model.request_shapes`",
        ),
        (lambda file: file["model"]["request_shapes"].update(z=[-1]), "is negative"),
        (lambda file: file["search"].update(points=2**70), "more than 64 bits"),
        (
            lambda file: file.update(
                curves=[
                    {"config": file["recommended"], "loads_rps": [1.0], "p50_ms": []}
                    | {"objective_ms": [1.0]}
                ]
            ),
            "not as many latencies as loads",
        ),
        (lambda file: file["lattice"]["replicas"].append(1), "not of one length"),
        (lambda file: file["lattice"]["region_of"].pop(), "not one list a load"),
        (lambda file: file["lattice"]["region_of"][0].__setitem__(0, 10**6), "none of its points"),
        (lambda file: file["finalists"][0]["shares"].pop(), "not as many shares as latencies"),
        (lambda file: file.update({"a\x1b\nb": 1}), r"unknown field `a\\x1b\\nb`"),
    ],
)
def test_fields_at_odds_with_each_other_are_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    value = json.loads(config_file.to_json(DRAWN))
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(value))
    assert config_file.read(path) == DRAWN
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(ConfigFileError, match=message):
        config_file.read(path)
