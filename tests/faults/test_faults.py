"""The fault harness in small: as `python benchmarks/faults` tries everything at length."""

import pytest
from faults import children, kills, places, times
from faults.catalogue import faults
from faults.tally import Tally, table

FEW = 2


def assert_nothing_happened(tally: Tally) -> None:
    if tally.note.startswith("not tried"):
        pytest.skip(tally.note)
    assert tally.tries
    assert not tally.is_bad, tally


def test_kills_while_committing_lose_nothing() -> None:
    assert_nothing_happened(kills.commits(8, seed=1))


def test_kills_while_writing_leave_a_whole_file() -> None:
    assert_nothing_happened(kills.writes(8, seed=1))


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on() -> None:
    assert_nothing_happened(kills.parents(4, seed=1))


@pytest.mark.slow
def test_a_search_outlives_its_children() -> None:
    assert_nothing_happened(kills.children(FEW, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fork", "descriptors"])
def test_a_model_that_misbehaves_is_told_as_such(kind: str) -> None:
    assert_nothing_happened(children.misbehaving(kind, 1, seed=1))


@pytest.mark.slow
def test_a_full_disk_is_told_as_such() -> None:
    assert_nothing_happened(places.full_store(1, seed=1))
    assert_nothing_happened(places.full_output(1, seed=1))


@pytest.mark.slow
def test_a_broken_store_is_set_aside() -> None:
    assert_nothing_happened(places.broken_store(1, seed=1))


@pytest.mark.slow
def test_time_that_goes_wrong_spoils_no_number() -> None:
    assert_nothing_happened(times.suspended(FEW, seed=1))
    assert_nothing_happened(times.fewer_cores(1, seed=1))
    assert_nothing_happened(times.two_at_once(1, seed=1))


def test_every_fault_is_among_those_that_can_be_tried() -> None:
    named = faults(killed=200, tries=20)
    assert all(tries > 0 for _, tries in named.values())
    assert {f"model-{kind}" for kind in children.KINDS} <= set(named)


def test_the_table_counts_what_was_tried() -> None:
    one = Tally("fire", 3, lost=1, seconds=2.4)
    both = one + Tally("", 2, leaked=1)
    assert list(table([both]))[-1] == "| fire | 5 | 1 | 0 | 1 | 0 | 2 |"
    assert both.is_bad
