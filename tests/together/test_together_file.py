"""together.autotune.json: read, refused, and its members by name."""

import json
from pathlib import Path

import pytest

from autotune import config_file
from autotune.config_file import to_json
from autotune.errors import ConfigFileError, UsageError
from autotune.together import file

GOLDEN = Path(__file__).parents[1] / "golden" / "v2.together.json"
GIVEN = GOLDEN.read_text()


def test_what_was_read_is_written_as_it_was() -> None:
    assert to_json(file.read(GOLDEN)) == GIVEN


@pytest.mark.parametrize("share", [None, 0.0, 0.42])
def test_a_scale_of_version_1_is_predicted(tmp_path: Path, share: float | None) -> None:
    old = GOLDEN.with_name("v1.together.json").read_text()
    assert '"largest_scale": null' in old
    path = tmp_path / "old.json"
    path.write_text(old.replace('"largest_scale": null', f'"largest_scale": {json.dumps(share)}'))
    found = file.read(path)
    assert json.loads(to_json(found))["schema_version"] == 2
    assert list(found.members) == ["a", "b"]
    scale = found.largest_scale
    assert (scale and (scale.share, scale.evidence, scale.missed, scale.served)) == (
        None if share is None else (share, "predicted", 1.0, [])
    )


def test_a_member_is_a_tuned_file_by_its_name() -> None:
    found = file.read(GOLDEN)
    for name, member in found.members.items():
        assert config_file.read(Path(f"{GOLDEN}#{name}")) == member


def test_a_file_whose_name_has_a_mark_is_itself(tmp_path: Path) -> None:
    path = tmp_path / "a#b.json"
    path.write_text(to_json(file.read(GOLDEN).members["a"]))
    assert config_file.read(path) == file.read(GOLDEN).members["a"]


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        (GOLDEN, "holds several tuned files: name one, like .*#a"),
        (Path(f"{GOLDEN}#nix"), "there is no 'nix' in .*: it holds a, b"),
        (Path("/nowhere.json#a"), "cannot be read"),
        (Path(f"{GOLDEN.parent / 'v8.autotune.json'}#a"), "it holds no others"),
    ],
)
def test_what_names_no_tuned_file_is_refused(path: Path, complaint: str) -> None:
    with pytest.raises(ConfigFileError, match=complaint):
        config_file.read(path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"schema_version": 2', '"schema_version": 3', "Invalid"),
        ('"schema_version": 2', '"schema_version": true', "schema_version"),
        ('"schema_version": 2', '"schema_version": 1', "largest_scale.share"),
        ('"share": 0.', '"share": 1.', "largest_scale.share"),
        ('"evidence": "measured"', '"evidence": "hoped"', "largest_scale.evidence"),
        ('"service": "a"', '"service": "c"', "what was served is not what was asked for"),
        ('"steps": ["a"]', '"steps": ["c"]', "are not those of its services"),
        ("{", "", "Expected `object`"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = tmp_path / "together.json"
    assert old in GIVEN
    path.write_text(GIVEN.replace(old, new, 1))
    with pytest.raises(ConfigFileError, match=complaint):
        file.read(path)


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text((GOLDEN.parent / "v8.autotune.json").read_text())
    with pytest.raises(UsageError, match="exists and is not"):
        file.check_writable(path)
    file.check_writable(GOLDEN)
