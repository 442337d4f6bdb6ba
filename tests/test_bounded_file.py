import os
from pathlib import Path

import pytest

from autotune import config_file
from autotune.arrivals import read_trace
from autotune.bounded_file import open_regular, read_bytes
from autotune.cli.settings import find_file
from autotune.csv_rows import LONGEST_LINE, MOST_LINES, read_rows
from autotune.errors import AutotuneError, UsageError
from autotune.models.sample_inputs import read_arrays
from autotune.request_mix import read_requests


def strange(folder: Path, name: str) -> dict[str, Path]:
    """Places of that name that are no file, each in a folder of its own."""
    places = {
        what: folder / what / name for what in ("pipe", "device", "folder", "loop", "large", "gone")
    }
    for path in places.values():
        path.parent.mkdir()
    os.mkfifo(places["pipe"])
    places["device"].symlink_to("/dev/zero")
    places["folder"].mkdir()
    places["loop"].symlink_to(places["loop"])
    places["gone"].symlink_to("nowhere")
    with places["large"].open("wb") as file:
        file.truncate(1 << 40)  # it takes no room, until it is read
    return places


READERS = {
    "a.autotune.json": config_file.read,
    "trace.csv": read_trace,
    "mix.csv": read_requests,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "loop", "large", "gone"])
def test_what_is_no_file_or_too_large_is_refused_at_once(
    tmp_path: Path, name: str, what: str
) -> None:
    with pytest.raises(AutotuneError, match="cannot be read: ") as raised:
        READERS[name](strange(tmp_path, name)[what])
    says = {"pipe": "is no regular file", "device": "is no regular file", "large": "larger than"}
    assert says.get(what, "") in str(raised.value)


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "loop", "large"])
def test_settings_likewise(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(strange(tmp_path, "autotune.toml")[what].parent)
    with pytest.raises(UsageError, match=r"^autotune.toml: cannot be read: "):
        find_file()


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "loop"])
def test_arrays_likewise(tmp_path: Path, what: str) -> None:
    with pytest.raises(UsageError, match=r"--input .*: cannot be read: "):
        read_arrays(strange(tmp_path, "a.npz")[what], "--input")


def test_a_file_that_grows_while_it_is_read_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 10)
    assert read_bytes(path, 10) == b"x" * 10
    opened = open_regular

    def growing(place: Path, most_bytes: int) -> object:
        file = opened(place, most_bytes)
        path.write_bytes(b"x" * 11)
        return file

    monkeypatch.setattr("autotune.bounded_file.open_regular", growing)
    with pytest.raises(OSError, match="is larger than"):
        read_bytes(path, 10)


@pytest.mark.parametrize(
    "text", ["x" * (LONGEST_LINE + 2), '"\n",' * (MOST_LINES + 2), '"' + "x\n" * 200_000]
)
def test_rows_without_end_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"a row is too long|field larger than"):
        list(read_rows(path, "--trace", 1 << 30))


def test_rows_over_several_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,"b\nc"\n\n' * MOST_LINES)
    rows = list(read_rows(path, "--trace", 1 << 30))
    assert len(rows) == MOST_LINES
    assert rows[1] == (5, ["a", "b\nc"])
