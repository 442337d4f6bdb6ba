"""Stores of others: read, and left as they are."""

import sqlite3
from pathlib import Path

import pytest

from autotune.errors import StoreError
from autotune.store.database import SearchRow, Store
from autotune.store.reading import answers_in, is_store

GOLDEN = Path(__file__).parents[1] / "golden" / "v1.store.sqlite"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "others.sqlite"
    with Store(path) as opened:
        for answer in ("first", None, "third"):
            opened.begin(SearchRow("2026", "1", "{}", "model.onnx", "{}", answer))
    return path


def test_answers_come_the_latest_first_and_the_file_stays_as_it_is(store: Path) -> None:
    before = store.read_bytes()
    assert is_store(store)
    assert answers_in(store) == ["third", "first"]
    assert store.read_bytes() == before


def test_a_store_of_version_1_is_read_and_not_brought_up_to_date() -> None:
    before = GOLDEN.read_bytes()
    answers_in(GOLDEN)
    assert GOLDEN.read_bytes() == before


def test_an_odd_name_is_a_name(store: Path) -> None:
    odd = store.with_name("a store?mode=rw#1 %20.sqlite")
    store.rename(odd)
    assert answers_in(odd) == ["third", "first"]


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("PRAGMA application_id = 7", "another program's database"),
        ("PRAGMA user_version = 99", "has version 99, and this autotune reads up to"),
        ("DROP TABLE searches", "no such table"),
    ],
)
def test_what_is_none_or_too_new_is_refused(store: Path, sql: str, complaint: str) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(sql)
    connection.close()
    with pytest.raises(StoreError, match=complaint):
        answers_in(store)


def test_a_schema_that_is_no_text_is_refused(store: Path) -> None:
    spoilt = store.read_bytes().replace(b"searches", b"s\x82arches", 1)
    store.write_bytes(spoilt)
    with pytest.raises(StoreError, match=r"others\.sqlite: "):
        answers_in(store)


def test_what_is_no_database_is_none(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert not is_store(other)
    with pytest.raises(StoreError, match="cannot be read"):
        is_store(tmp_path / "missing")
