"""Requests as a service logged them: what is read, and what is refused in one line."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotune.errors import UsageError
from autotune.observed import Observed, observed_of, read_observed


def read(tmp_path: Path, text: str) -> Observed:
    path = tmp_path / "latencies.csv"
    path.write_text(text)
    return read_observed(path, "--observed")


def test_columns_are_found_by_name_wherever_they_stand(tmp_path: Path) -> None:
    found = read(tmp_path, "path,latency_ms,arrived_s\n/a,5,1.0\n/b,7.5,1.5\n")
    assert found.arrived_s.tolist() == [1.0, 1.5]
    assert found.latency_ms.tolist() == [5.0, 7.5]


def test_without_a_header_they_are_the_first_two(tmp_path: Path) -> None:
    found = read(tmp_path, "0,5,x\n\n2,6,y\n")
    assert (found.arrived_s.tolist(), found.latency_ms.tolist()) == ([0.0, 2.0], [5.0, 6.0])


def test_what_was_never_answered_is_infinite(tmp_path: Path) -> None:
    found = read(tmp_path, "arrived_s,latency_ms\n0,\n1,inf\n2,LOST\n3,0\n")
    assert found.latency_ms.tolist() == [math.inf, math.inf, math.inf, 0.0]


def test_times_may_be_of_iso_8601(tmp_path: Path) -> None:
    found = read(tmp_path, "2026-03-01T00:00:00Z,5\n2026-03-01T01:00:00.5+01:00,6\n")
    begun_s = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    assert found.arrived_s.tolist() == [begun_s, begun_s + 0.5]
    plain = read(tmp_path, "arrived_s,latency_ms\n2026-03-01 00:00:00,5\n2026-03-01 00:00:01,5\n")
    assert plain.arrived_s.tolist() == [begun_s, begun_s + 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs at least two requests"),
        ("arrived_s,latency_ms\n", "needs at least two requests"),
        ("arrived_s,latency_ms\n1,5\n", "needs at least two requests"),
        ("1,5\n1,6\n", "that arrived at different times"),
        ("time,latency_ms\n1,5\n", "column 'arrived_s' is not among time, latency_ms"),
        ("arrived_s,latencyms\n1,5\n", "did you mean 'latencyms'?"),
        ("arrived_s,arrived_s,latency_ms\n1,1,5\n", "column 'arrived_s' is twice"),
        ("arrived_s\n1\n", "column 'latency_ms' is not among"),
        ("1,5\n2\n", "line 2: has 1 cells where 2 are needed"),
        ("1,5\nnan,6\n", "line 2: 'nan' is not a time of 0 s or later"),
        ("1,5\n-1,6\n", "line 2: '-1' is not a time"),
        ("1,5\nsoon,6\n", "line 2: 'soon' is not a time"),
        ("1,5\ninf,6\n", "line 2: 'inf' is not a time"),
        ("1,5\n,6\n", "line 2: '' is not a time"),
        ("1,5\n2,-1\n", "line 2: '-1' is not a latency"),
        ("1,5\n2,nan\n", "line 2: 'nan' is not a latency"),
        ("1,5\n2,fast\n", "line 2: 'fast' is not a latency"),
        ("1,5\n2,1e9\n", "line 2: '1e9' is not a latency of 0 to 3,600,000 ms"),
        ("2,5\n1,6\n", "line 2: 1 s comes after 2 s: requests must be in order of arrival"),
        ("0,5\n40000000,6\n", "spans more than a year: arrived_s must be in seconds"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_it(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    line = str(refused.value)
    assert said in line
    assert line.startswith(f"--observed {tmp_path / 'latencies.csv'}: ")
    assert "\n" not in line


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: cannot be read"):
        read_observed(tmp_path / "none.csv", "--observed")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.floats(0.0, 1e6), min_size=2, max_size=20, unique=True),
    data=st.data(),
)
def test_what_is_written_is_read(tmp_path: Path, times: list[float], data: st.DataObject) -> None:
    times.sort()
    some = st.floats(0.0, 1e6) | st.just(math.inf)
    latencies = [data.draw(some) for _ in times]
    text = "\n".join(f"{a!r},{b!r}" for a, b in zip(times, latencies, strict=True))
    found = read(tmp_path, text)
    assert found.arrived_s.tolist() == times
    assert found.latency_ms.tolist() == latencies
    same = observed_of(times, latencies, "observed")
    assert np.array_equal(same.latency_ms, found.latency_ms)


@pytest.mark.parametrize(
    ("times", "latencies", "said"),
    [
        ([0.0, 1.0], [1.0], "as many latencies as arrivals"),
        ([0.0, math.nan], [1.0, 1.0], r"arrived_s\[1\]=nan is not a time"),
        ([0.0, -1.0], [1.0, 1.0], r"arrived_s\[1\]=-1 is not a time"),
        ([0.0, 1.0], [1.0, math.nan], r"latency_ms\[1\]=nan is not a latency"),
        ([0.0, 1.0], [-2.0, 1.0], r"latency_ms\[0\]=-2 is not a latency"),
        ([0.0, 2.0, 1.0], [1.0, 1.0, 1.0], r"arrived_s\[2\]: 1 s comes after 2 s"),
        ([], [], "at least two requests"),
    ],
)
def test_numbers_are_held_to_the_same(
    times: list[float], latencies: list[float], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        observed_of(times, latencies, "observed")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.sampled_from(["", "0", "1", "2.5", "-1", "nan", "inf", "1e999", "x", '"', "2026-03-01",
                         "2026-03-01T00:00:00", "9999-12-31T23:59:59-23:59", "arrived_s",
                         "latency_ms", "\x1b[2J", "\n", ",", "\udcff"]),
        max_size=24,
    )
)  # fmt: skip
def test_whatever_stands_in_a_file_is_read_or_refused_in_one_line(
    tmp_path: Path, cells: list[str]
) -> None:
    path = tmp_path / "any.csv"
    path.write_text(",".join(cells).replace("\n,", "\n"), errors="surrogateescape")
    found, line = None, ""
    try:
        found = read_observed(path, "--observed")
    except UsageError as error:
        line = str(error)
    assert line.isprintable()
    assert found is None or np.all(np.diff(found.arrived_s) >= 0)
    assert found is None or np.all(found.latency_ms >= 0)
