"""Traces as they are read for a plan: what is kept, what is said, what is refused in one line."""

import contextlib
import gzip
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from autotune.arrivals import Traffic, draw
from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.patterns import Constant, Poisson
from autotune.planning import tally, trace_times
from autotune.planning.arriving import (
    SHORTEST_S,
    Arriving,
    arriving_of,
    read_arriving,
)
from autotune.planning.dates import plain_dates

files = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
instants = st.lists(st.floats(0, 1e4), min_size=2, max_size=40).map(sorted)


def read(tmp_path: Path, content: str | bytes) -> Arriving:
    path = tmp_path / "trace.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_arriving(path, "--trace")


def kept_s(arriving: Arriving) -> Samples:
    return np.concatenate([excerpt.times_s for excerpt in arriving.excerpts])


def test_seconds_are_counted_by_bin_from_the_first_request_on(tmp_path: Path) -> None:
    found = read(tmp_path, "100.5\n100.51\n\n100.56\n101.5\n")
    assert (found.bin_s, len(found.counts)) == (0.05, 21)
    assert found.counts[[0, 1, 20]].tolist() == [2, 1, 1]
    assert (found.requests, found.began, found.notes) == (4, None, ())
    assert found.mean_rps == pytest.approx(4 / (21 * 0.05))
    assert np.allclose(kept_s(found), [0, 0.01, 0.06, 1])


@pytest.mark.parametrize(
    ("text", "times_s"),
    [
        ("arrival_s\n1\n2\n4\n", [0, 1, 3]),
        ("\n\nid,TIMESTAMP\n7,1\n5,2\n6,2.5\n", [0, 1, 1.5]),
        ("what,ever\n1,a\n2,b\n", [0, 1]),
        ("\ufeff1;\n2\n".replace(";", ""), [0, 1]),
        ('1,"a\nb, ""c"""\r\n"2",d\r\n', [0, 1]),
        ("1\r2\r4", [0, 1, 3]),
        ("1e0, x\n 2.0 ,y,z\n", [0, 1]),
    ],
)
def test_the_column_of_times_is_found(tmp_path: Path, text: str, times_s: list[float]) -> None:
    assert kept_s(read(tmp_path, text)).tolist() == times_s


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T00:00:00Z\n2026-03-01T01:00:01.5+01:00\n2026-03-01 00:00:02.123456789Z\n",
        "x,Timestamp\na,2026-03-01 00:00:00\nb,2026-03-01T00:00:01.5\n"
        "c,2026-03-01 00:00:02.123457\n",
        "2026-03-01T00:00Z\n2026-03-01T00:00:01.5Z\n2026-03-01T00:00:02.123457Z\n",
        "1772323200\n1772323201.5\n1772323202.123457\n",
    ],
)
def test_dates_begin_the_trace(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.began == "2026-03-01T00:00:00.000+00:00"
    assert np.allclose(kept_s(found), [0, 1.5, 2.123457], atol=1e-6)


@given(
    moments=st.lists(
        st.datetimes(
            datetime(1970, 1, 2),
            datetime(2099, 12, 30),
            timezones=st.integers(-720, 720).map(lambda some: timezone(timedelta(minutes=some))),
        ),
        min_size=1,
        max_size=8,
    ),
    digits=st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_dates_that_are_read_at_once_are_those_of_the_standard_library(
    moments: list[datetime], digits: str
) -> None:
    texts = [moment.isoformat(timespec=digits) for moment in moments]
    expected = [datetime.fromisoformat(text).timestamp() for text in texts]
    found = plain_dates(",x\n".join([*texts, ""]).encode(), zoned=True)
    assert found is not None
    assert np.allclose(found, expected, atol=1e-6, rtol=0)
    local = [moment.replace(tzinfo=UTC) for moment in moments]
    found = plain_dates("\n".join([*(one.isoformat()[:-6] for one in local), ""]).encode(), False)
    assert found is not None
    assert np.allclose(found, [one.timestamp() for one in local], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00",
        "2026-13-01T00:00:00",
        "2026-01-00T00:00:00",
        "2026-01-01T24:00:00",
        "2026-01-01T00:00:60",
        "2026-01-01x00:00:00",
        "2026-01-01T00:00:00.",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:0",
        "/026-01-01T00:00:00",
        "",
    ],
)
def test_other_dates_are_not_read_at_once(text: str) -> None:
    assert plain_dates(f"{text}\n".encode(), zoned=False) is None


BAD = {
    "": "has no requests",
    "\n\n": "has no requests",
    "arrival_s\n": "has no requests",
    "5\n": "has one request only: needs at least two",
    "5\n5\n5\n": "all 3 requests arrive at one moment",
    "0\n5e-324\n": "all 2 requests arrive at one moment",
    "t\n1\n2\n\n1.5\n": "line 5: 1.5 s comes after 2 s: arrivals must be in order",
    "1\nnan\n": "line 2: 'nan' is not a time of 0 s or later",
    "1\n-1\n": "line 2: '-1' is not a time of 0 s or later",
    "1\ninf\n": "line 2: 'inf' is not a time of 0 s or later",
    "1\n2\nsoon\n": "line 3: 'soon' is not an arrival time: in seconds, or a date",
    "a,timestamp\nx,1\ny\n": "line 3: has 1 cells where 2 are needed",
    "a,timestamp\nx,1\ny,\n": "line 3: '' is not an arrival time",
    "arrival_s,timestamp\n1,1\n": "has the columns 'arrival_s' and 'timestamp'",
    "1700000000000\n1700000000100\n": "line 1: '1700000000000' is no time of this age",
    "0\n40000000\n": "spans 463 days, more than a year: times must be in seconds",
    "1\n2026-01-01T00:00:00\n": "line 2: '2026-01-01T00:00:00' is a date where seconds stand",
    "2026-01-01T00:00:00\n5\n": "line 2: '5' is seconds where dates stand before",
    "2026-01-01T00:00:00\n2026-01-01T00:00:01Z\n": "names a zone where none was named before",
    "2026-01-01T00:00:00Z\n2026-01-01T00:00:01\n": "names no zone where one was named before",
    "2026-01-01T00:00:00Z\n2026-02-30T00:00:01Z\n": "line 2: '2026-02-30T00:00:01Z' is not an",
    "1\n2\x1b[31m\n": "line 2: '2\\x1b[31m' is not an arrival time",
    "1\0": "cannot be read: is no text in UTF-8",
    '1,"\n' + "2\n" * 600_000: "a row is too long, or a quote is never closed",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text[:30]))
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as found:
        read(tmp_path, text)
    assert BAD[text] in str(found.value)
    assert "\n" not in str(found.value)
    assert str(found.value).startswith("--trace ")


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_arriving(tmp_path / "none.csv", "--trace")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_arriving(tmp_path, "--trace")
    with pytest.raises(UsageError, match="is no text in UTF-8"):
        read(tmp_path, "1,\xe9\n2\nx\n".encode("latin-1"))


def test_a_packed_file_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"arrival_s\n1\n3\n")
    assert kept_s(read(tmp_path, packed)).tolist() == [0, 2]
    for damaged in (packed[:-9], packed[:12] + b"xx" + packed[14:], packed[:2]):
        with pytest.raises(UsageError, match="cannot be read"):
            read(tmp_path, damaged)


def test_a_line_without_end_is_refused_early(tmp_path: Path) -> None:
    packed = gzip.compress(b"1\n" + b"0" * 200_000_000, compresslevel=1)
    with pytest.raises(UsageError, match="a row is too long"):
        read(tmp_path, packed)


@given(content=st.binary(max_size=60) | st.text('0129.-:TZ+,"\n\r eE', max_size=60).map(str.encode))
@files
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    with contextlib.suppress(UsageError):
        found = read(tmp_path, content)
        assert found.requests >= 2
        assert found.dispersion >= 1


@given(times_s=instants)
@files
def test_small_blocks_change_nothing(tmp_path: Path, times_s: list[float]) -> None:
    assume(times_s[-1] - times_s[0] >= SHORTEST_S)
    text = 'x,"arrival_s"\n' + "".join(f'"a\n",{time_s!r}\n' for time_s in times_s)
    whole = read(tmp_path, text)
    assume(not any("spread" in note for note in whole.notes))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace_times, "BLOCK_BYTES", 200)
        apart = read(tmp_path, text)
    assert np.array_equal(kept_s(whole), np.array(times_s) - times_s[0])
    assert np.array_equal(kept_s(apart), kept_s(whole))
    assert np.array_equal(apart.counts, whole.counts)
    assert (apart.dispersion, apart.notes) == (whole.dispersion, whole.notes)


def test_a_wrong_line_is_found_in_a_later_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_times, "BLOCK_BYTES", 64)
    text = "arrival_s\n" + "".join(f"{number}\n\n" for number in range(100))
    with pytest.raises(UsageError, match="line 202: 'x' is not"):
        read(tmp_path, text + "x\n")
    with pytest.raises(UsageError, match="line 202: 98 s comes after 99 s"):
        read(tmp_path, text + "98\n")


@given(times_s=instants, most=st.sampled_from([2, 16, 1024]))
def test_bins_double_until_they_are_few_and_hold_every_request(
    times_s: list[float], most: int
) -> None:
    relative_s = np.array(times_s) - times_s[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tally, "MOST_BINS", most)
        kept = tally.Tally()
        for part in np.array_split(relative_s, 3):
            kept.add(part)
    assert len(kept.counts) <= most
    assert kept.bin_s == 0.05 or len(kept.counts) > most // 2
    if not kept.spread_s:
        places = (relative_s / kept.bin_s).astype(int)
        assert np.array_equal(kept.counts, np.bincount(places))


@pytest.mark.parametrize("runs", [3, 64, 65, 128, 129, 500, 1000])
def test_excerpts_are_stretches_evenly_over_the_requests(
    runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "EXCERPT_REQUESTS", 10)
    times_s = np.arange(10 * runs + 3) * 0.001
    kept = tally.Tally(seed=3)
    for part in np.array_split(times_s, 17):
        kept.add(part)
    found = kept.stretches
    assert all(len(one) == 10 for one in found[:-1])
    assert all(np.allclose(np.diff(one), 0.001) for one in found)
    if runs < 64:
        assert np.array_equal(np.concatenate(found), times_s)
    else:
        assert 32 <= len(found) <= 64
        # One of each part: starts are as far apart as two parts at most.
        gaps_s = np.diff([0.0, *(one[0] for one in found)])
        assert gaps_s.max() <= 2 * times_s[-1] / 32


def test_the_peak_is_that_of_the_busiest_window() -> None:
    times_s = np.sort(np.concatenate([np.arange(100.0), 30.02 + np.arange(40) * 0.05]))
    arriving = arriving_of(times_s, "times")
    assert arriving.peak_rps(2.0) == pytest.approx(42 / 2, rel=0.03)
    assert arriving.peak_rps(1e9) == pytest.approx(arriving.mean_rps)


@pytest.mark.parametrize("load_rps", [3.0, 200.0, 5000.0])
def test_arrivals_by_chance_have_a_dispersion_of_one(load_rps: float) -> None:
    times_s = draw(Traffic(load_rps=load_rps, pattern=Poisson()), 60_000 / load_rps, (2,))
    assert arriving_of(times_s, "times").dispersion == pytest.approx(1.0, abs=0.04)


def test_a_rate_that_changes_slowly_is_no_clustering() -> None:
    rng = np.random.default_rng(3)
    drawn_s = np.sort(rng.uniform(0, 600, 200_000))
    is_kept = rng.random(len(drawn_s)) < 0.5 + 0.5 * np.sin(drawn_s / 20)
    assert arriving_of(drawn_s[is_kept], "times").dispersion == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("size", [2, 5])
def test_clusters_are_seen_at_their_size(size: int) -> None:
    starts_s = draw(Traffic(load_rps=60), 500.0, (4,))
    offsets_s = np.random.default_rng(5).uniform(0, 1e-5, (len(starts_s), size))
    times_s = np.sort((starts_s[:, None] + offsets_s).ravel())
    assert arriving_of(times_s, "times").dispersion == pytest.approx(size, rel=0.08)


def test_regular_arrivals_are_taken_for_chance() -> None:
    times_s = draw(Traffic(load_rps=500, pattern=Constant()), 20.0, (1,))
    assert arriving_of(times_s, "times").dispersion == 1.0


def test_a_rate_beyond_what_excerpts_hold_of_a_bin_is_measured_in_shorter_ones() -> None:
    times_s = np.sort(np.random.default_rng(1).uniform(0, 2.0, 700_000))
    arriving = arriving_of(times_s, "times")
    assert not arriving.is_whole
    assert arriving.dispersion == pytest.approx(1.0, abs=0.05)


def test_long_gaps_are_told_the_longest_first(tmp_path: Path) -> None:
    busy_s = np.arange(0, 1000, 0.5)
    times_s = np.concatenate([busy_s, busy_s + 11_000.25, busy_s + 15_000])
    found = arriving_of(times_s, "times")
    assert found.notes == (
        "No requests for 2 h 47 min from 16 min 40 s after the start on.",
        "No requests for 50 min from 3 h 20 min after the start on.",
    )
    text = "2026-01-01T00:00:00Z\n2026-01-01T00:00:01Z\n2026-01-01T03:00:01Z\n"
    assert read(tmp_path, text).notes == (
        "No requests for 3 h from 2026-01-01T00:00:01.000+00:00 on.",
    )
    assert arriving_of(np.linspace(0.0, 590.0, 11), "times").notes == ()


def test_many_gaps_are_summed_up() -> None:
    found = arriving_of(np.linspace(0.0, 11_000.0, 12), "times")
    assert len(found.notes) == 4
    assert found.notes[-1] == "8 more such gaps, the shortest of 16 min 40 s."


def test_times_in_whole_seconds_are_spread_within_them(tmp_path: Path) -> None:
    exact_s = draw(Traffic(load_rps=40), 300.0, (6,))
    text = "".join(f"{int(time_s)}\n" for time_s in exact_s)
    found = read(tmp_path, text)
    assert found.notes == ("Times are written in whole seconds: requests were spread within them.",)
    assert found.dispersion == pytest.approx(1.0, abs=0.05)
    assert np.all(np.diff(kept_s(found)) >= 0)
    seconds = int(exact_s[0]) + np.floor(kept_s(found)).astype(int)
    assert np.array_equal(seconds, exact_s.astype(int))
    assert read(tmp_path, text).counts.tolist() == found.counts.tolist()
    assert arriving_of(np.arange(50.0), "times").notes == ()


@pytest.mark.parametrize(
    ("times_s", "why"),
    [
        ([], "has no requests"),
        ([1.0], "has one request only"),
        ([1.0, 1.0], "arrive at one moment"),
        ([1.0, np.nan], r"times\[1\]: nan is not a time in seconds"),
        ([1.0, 3.0, 2.0], r"times\[2\]: 2 s comes after 3 s"),
        ([0.0, 4e7], "more than a year"),
        ([[1.0, 2.0]], "must stand in one row"),
    ],
)
def test_arrivals_in_memory_are_checked_too(times_s: list[float], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        arriving_of(np.array(times_s), "times")
