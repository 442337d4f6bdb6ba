"""together.autotune.json: read, refused, and its members by name."""

from pathlib import Path

import pytest

from autotune import config_file
from autotune.config_file import to_json
from autotune.errors import ConfigFileError, UsageError
from autotune.together import file

GOLDEN = Path(__file__).parents[1] / "golden" / "v1.together.json"
GIVEN = GOLDEN.read_text()


def test_what_was_read_is_written_as_it_was() -> None:
    assert to_json(file.read(GOLDEN)) == GIVEN


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
        ('"schema_version": 1', '"schema_version": 2', "Invalid"),
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
