"""A fleet's file: written, read, refused."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fleet_made import made_fleet, three_types, written
from tuned_types import made_type

from autotune import config_file, fleet_file
from autotune.errors import ConfigFileError, UsageError

GOLDEN = Path(__file__).parent / "golden" / "v1.fleet.json"
OLDEST = Path(__file__).parent / "golden" / "v1.autotune.json"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert fleet_file.read(written(tmp_path)) == three_types()


def test_the_golden_file_is_read_and_written_as_it_is() -> None:
    fleet = fleet_file.read(GOLDEN)
    assert fleet_file.to_json(fleet) == GOLDEN.read_text()
    assert [one.status for one in fleet.machines] == ["complete", "complete", "missing"]


def test_the_published_schema_is_that_of_the_code_and_fits() -> None:
    schema = json.loads(fleet_file.SCHEMA_PATH.read_text())
    assert schema == fleet_file.json_schema()
    jsonschema.validate(json.loads(GOLDEN.read_text()), schema)


def test_tuned_files_of_older_versions_are_read_in_it(tmp_path: Path) -> None:
    plain = json.loads(GOLDEN.read_text())
    plain["machines"] = plain["machines"][:1]
    plain["machines"][0]["tuned"] = json.loads(OLDEST.read_text())
    plain["model_sha256"] = plain["machines"][0]["tuned"]["model"]["sha256"]
    path = tmp_path / "old.fleet.json"
    path.write_text(json.dumps(plain))
    assert fleet_file.read(path).machines[0].tuned == config_file.read(OLDEST)


def changed(**changes: Any) -> dict[str, Any]:
    return {**json.loads(GOLDEN.read_text()), **changes}


def first(**changes: Any) -> dict[str, Any]:
    plain = changed()
    plain["machines"][0].update(changes)
    return plain


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        (changed(format="autotune"), "is no fleet's file"),
        (changed(schema_version=2), "is of a version that this autotune does not read"),
        (changed(schema_version=True), "is of a version that this autotune does not read"),
        (changed(machines=[]), "Expected `array` of length >= 1"),
        (changed(machines=3), "Expected `array`"),
        (changed(extra=1), "unknown field `extra`"),
        (changed(machines=list(reversed(changed()["machines"]))), "are not ascending"),
        (changed(model_sha256="0" * 64), "was tuned for another model"),
        (first(status="missing"), "is said to be missing, and is complete"),
        (first(reason="why"), "a reason stands where nothing is missing"),
        (first(tuned=None), "is said to be complete, and is missing"),
        (first(tuned={"format": "autotune", "schema_version": 8}), "missing required field"),
        ([1], "Expected `object`"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, plain: Any, complaint: str) -> None:
    path = tmp_path / "model.fleet.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(ConfigFileError, match=complaint) as caught:
        fleet_file.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", '{"format": "autotune-fleet"', "\xff"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.fleet.json"
    path.write_text(text)
    assert not fleet_file.is_fleet_file(path)
    with pytest.raises(ConfigFileError, match="is not JSON"):
        fleet_file.read(path)


def test_a_missing_file_is_named_with_what_was_meant(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(ConfigFileError, match=r"No such file.*did you mean .*model\.fleet\.json"):
        fleet_file.read(tmp_path / "modell.fleet.json")


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(UsageError, match="is not a fleet's file; it is left alone"):
        fleet_file.check_writable(other)
    with pytest.raises(UsageError, match="is named like a tuned file"):
        fleet_file.check_writable(tmp_path / "model.autotune.json")
    fleet_file.check_writable(written(tmp_path))


def test_a_type_is_taken_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path)
    fleet = fleet_file.read(path)
    assert config_file.read(Path(f"{path}#b.large")) == made_type(2.0)
    assert fleet_file.tuned_for(fleet, "b.large", path, "type") == made_type(2.0)
    for machine, complaint in (
        ("b.larg", "has no such machine type; did you mean 'b.large'"),
        ("z", "has no such machine type: it has a.large, b.large, c.large"),
        ("c.large", "is missing in .*: no node is left"),
    ):
        with pytest.raises(UsageError, match=complaint):
            fleet_file.tuned_for(fleet, machine, path, "type")
    with pytest.raises(
        ConfigFileError, match=r"holds several tuned files: name one, like .*#a\.la"
    ):
        config_file.read(path)


def test_exit_codes_say_what_is_worst() -> None:
    missed = config_file.read(OLDEST.with_name("v8.autotune.json"))
    assert fleet_file.exit_code(made_fleet({"a": made_type()})) == 0
    assert fleet_file.exit_code(three_types()) == 4
    assert fleet_file.exit_code(made_fleet({"a": "interrupted; 3 are kept"})) == 130
    assert missed.status in ("complete", "slo_not_met")
