"""The file of the store: made, migrated, refused, set aside."""

import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from autotune.errors import StoreError, UsageError
from autotune.store import database
from autotune.store.database import RecordRow, SearchRow, Store, default_path
from autotune.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

GOLDEN = Path(__file__).parents[1] / "golden"
ROW = SearchRow("2026-11-28T12:00:00+00:00", "me", "{}", "/m.onnx", "{}")
RECORD = RecordRow("measure", b"d" * 32, 0, b"asked", b"outcome")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "store.sqlite"


def test_what_is_kept_is_there_when_the_file_is_opened_again(path: Path) -> None:
    with Store(path) as store:
        search = store.begin(ROW)
        store.keep(search, [RECORD])
        store.update(search, ROW._replace(answer="found"))
    with Store(path) as store:
        assert store.searches("{}") == [(search, ROW._replace(answer="found"))]
        assert store.outcome(search, RECORD.digest, 0) == b"outcome"
        assert store.outcome(search, RECORD.digest, 1) is None
        assert store.count(search) == 1


def test_searches_that_came_to_their_end_are_listed_the_latest_first(path: Path) -> None:
    with Store(path) as store:
        for answer, command in (("a", "search"), (None, "search"), ("b", "check"), ("c", "search")):
            row = ROW._replace(command=command)
            store.update(store.begin(row), row._replace(answer=answer))
        assert [row.answer for _, row in store.answered()] == ["c", "a"]


def test_a_later_lesson_takes_the_place_of_the_earlier_and_is_news(path: Path) -> None:
    with Store(path) as store:
        store.teach("1", "a")
        store.teach("2", "b")
        first, second = store.lessons()
        assert (first[1:], second[1:]) == (("1", "a"), ("2", "b"))
        assert store.lessons(second[0]) == []
        store.teach("1", "c")
        (news,) = store.lessons(second[0])
        assert news[1:] == ("1", "c")
        assert store.lessons() == [second, news]


def test_it_is_seen_by_another_process_before_it_is_closed(path: Path) -> None:
    with Store(path) as store, Store(path) as other:
        search = store.begin(ROW)
        store.keep(search, [RECORD])
        assert other.outcome(search, RECORD.digest, 0) == b"outcome"


def test_what_stands_already_stays_as_it_is(path: Path) -> None:
    with Store(path) as store:
        search = store.begin(ROW)
        store.keep(search, [RECORD])
        store.keep(search, [RECORD._replace(outcome=b"another"), RECORD._replace(turn=1)])
        assert store.outcome(search, RECORD.digest, 0) == b"outcome"
        assert store.count(search) == 2


def test_it_is_nobody_elses_business(path: Path) -> None:
    with Store(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_lies_where_the_desktop_specification_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_path() == Path("/data/autotune/store.sqlite")
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/to/be/ignored")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_path() == Path("/home/me/.local/share/autotune/store.sqlite")


def test_a_newer_one_is_refused_and_left_alone(path: Path) -> None:
    with Store(path) as store:
        store.begin(ROW)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(UsageError, match=rf"has version {VERSION + 1}, .* reads up to {VERSION}"):
        Store(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM searches").fetchone() == (1,)


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(UsageError, match="another program's database"):
        Store(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM songs").fetchone() == (0,)


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: -3 * 4096])


def _scribbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 200] = b"\xa5" * 200
    path.write_bytes(data)


def _misnamed(path: Path) -> None:
    data = path.read_bytes()
    assert b"searches" in data
    path.write_bytes(data.replace(b"searches", b"s\x82arches", 1))


@pytest.mark.parametrize("spoil", [_garbage, _truncated, _scribbled, _misnamed])
def test_a_broken_one_is_set_aside_whole(path: Path, spoil: Callable[[Path], None]) -> None:
    with Store(path) as store:
        search = store.begin(ROW)
        store.keep(search, [RECORD._replace(turn=turn, asked=b"x" * 900) for turn in range(200)])
    spoil(path)
    spoilt = path.read_bytes()
    with Store(path) as store:
        assert store.set_aside is not None
        assert store.set_aside.read_bytes() == spoilt
        assert store.searches("{}") == []
        store.keep(store.begin(ROW), [RECORD])
    with Store(path) as store:
        assert store.set_aside is None


def test_a_full_disk_is_said_and_loses_nothing(path: Path) -> None:
    with Store(path) as store:
        search = store.begin(ROW)
        store.keep(search, [RECORD])
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            store.keep(search, [RECORD._replace(turn=1, outcome=b"x" * 100_000)])
        assert store.count(search) == 1
        store._connection.execute("PRAGMA max_page_count = 1000000")
        store.keep(search, [RECORD._replace(turn=1, outcome=b"x" * 100_000)])
        assert store.count(search) == 2


def test_a_place_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made a folder: File exists"):
        Store(tmp_path / "file" / "store.sqlite")
    with pytest.raises(StoreError, match="unable to open"):
        Store(tmp_path)


def test_a_removed_one_is_noticed(path: Path) -> None:
    with Store(path) as store:
        assert store.is_in_place()
        path.unlink()
        assert not store.is_in_place()
        path.write_bytes(b"")
        assert not store.is_in_place()


def test_the_first_version_is_brought_up_to_date_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    shutil.copy(GOLDEN / "v1.store.sqlite", path)
    with sqlite3.connect(path) as connection:
        before = connection.execute("SELECT * FROM records ORDER BY id").fetchall()
        (asked, answer) = connection.execute("SELECT asked, answer FROM searches").fetchone()
    with Store(path) as store:
        ((search, row),) = store.searches(asked)
        assert (row.command, row.answer) == ("search", answer)
        assert store.count(search) == len(before)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT * FROM records ORDER BY id").fetchall() == before
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.sqlite"
    shutil.copy(GOLDEN / "v1.store.sqlite", path)
    broken = (*MIGRATIONS[:1], "ALTER TABLE searches ADD COLUMN x TEXT; SELECT nonsense")
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    with pytest.raises(StoreError, match="nonsense"):
        Store(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        columns = {row[1] for row in connection.execute("PRAGMA table_info(searches)")}
        assert "x" not in columns
