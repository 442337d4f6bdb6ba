"""Tuned files beneath folders: all that are there, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import TUNED

from autotune import config_file
from autotune.catalogue import catalogue
from autotune.errors import UsageError

Place = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Write a tuned file at a path below one folder; return the folder."""

    def write(name: str, started_at: str = "2026-01-01T00:00:00+00:00") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        search = replace(TUNED.search, started_at=started_at)
        config_file.write(path, replace(TUNED, search=search))
        return tmp_path

    return write


def names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path, _ in catalogue([folder]).files]


def test_the_newest_search_comes_first(place: Place) -> None:
    place("old.autotune.json", "2026-01-01T00:00:00+00:00")
    place("sub/new.autotune.json", "2026-03-01T00:00:00+00:00")
    folder = place("same.autotune.json", "2026-01-01T00:00:00+00:00")
    assert names(folder) == ["sub/new.autotune.json", "old.autotune.json", "same.autotune.json"]


def test_hidden_folders_environments_and_packages_are_passed_by(place: Place) -> None:
    for name in (".git/a", "node_modules/a", "env/lib/a", "lib/site-packages/a", "kept/a"):
        folder = place(f"{name}.autotune.json")
    (folder / "env" / "pyvenv.cfg").touch()
    place("result.json")
    assert names(folder) == ["kept/a.autotune.json"]


def test_links_to_folders_are_not_followed_and_links_to_files_count_once(place: Place) -> None:
    folder = place("sub/a.autotune.json")
    (folder / "loop").symlink_to(folder)
    (folder / "z.autotune.json").symlink_to(folder / "sub" / "a.autotune.json")
    assert len(names(folder)) == 1
    assert len(catalogue([folder, folder / "sub", folder / "loop"]).files) == 1


def test_what_is_named_is_taken_whatever_it_is_called(place: Place) -> None:
    folder = place("result.json")
    assert len(catalogue([folder / "result.json"]).files) == 1
    with pytest.raises(UsageError, match="no such file or folder"):
        catalogue([folder / "none"])


def test_what_only_looks_like_a_tuned_file_is_a_problem_and_the_rest_goes_on(place: Place) -> None:
    folder = place("good.autotune.json")
    (folder / "foreign.autotune.json").write_text('{"a": 1}')
    (folder / "broken.autotune.json").write_text("{")
    (folder / "future.autotune.json").write_text('{"format": "autotune", "schema_version": 99}')
    (folder / "gone.autotune.json").symlink_to("nowhere")
    found = catalogue([folder])
    assert len(found.files) == 1
    assert len(found.problems) == 4
    assert all(str(folder) in problem and "\n" not in problem for problem in found.problems)
