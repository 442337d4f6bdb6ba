"""Files that are written whole or not at all."""

import os
from pathlib import Path

import pytest

from autotune.probes.owner import this_process
from autotune.whole_file import write_whole


def test_it_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_whole(path, b"first")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    where, pid, started = this_process().split("-")
    left = tmp_path / f".file.json.{where}-{pid}-{int(started) + 1}.abc"
    stays = [
        tmp_path / f".file.json.{this_process()}.abc",
        tmp_path / f".other.json.{where}-{pid}-{int(started) + 1}.abc",
        tmp_path / ".file.json.swp",
        tmp_path / ".file.json.00000000-1-1.abc",
    ]
    for one in (left, *stays):
        one.write_bytes(b"half")
    write_whole(path, b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, *stays])
