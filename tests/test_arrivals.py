from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.arrivals import Traffic, draw, read_trace
from autotune.errors import UsageError
from autotune.patterns import Bursty, Constant, Gaps, Pattern, Poisson, Trace


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


PATTERNS: list[Pattern] = [
    Poisson(),
    Constant(),
    Bursty(factor=1.001),
    Bursty(factor=4),
    Bursty(factor=100),
    Gaps(gap_s=0.003),
    Gaps(gap_s=2),
    Trace(times_s=np.array([0.0, 0.01, 0.01, 3.0, 11.0])),
]


@given(st.sampled_from(PATTERNS), st.floats(0.01, 500), st.floats(0.01, 20), st.integers(0, 2**31))
def test_arrivals_ascend_within_the_window_repeat_and_are_never_none(
    pattern: Pattern, load_rps: float, duration_s: float, seed: int
) -> None:
    traffic = Traffic(load_rps=load_rps, pattern=pattern)
    arrivals_s = draw(traffic, duration_s, (seed,))
    np.testing.assert_array_equal(arrivals_s, draw(traffic, duration_s, (seed,)))
    assert len(arrivals_s) >= 1
    assert arrivals_s[0] >= 0
    assert arrivals_s[-1] < duration_s
    assert (np.diff(arrivals_s) >= 0).all()


@pytest.mark.parametrize("pattern", PATTERNS[:-1])
def test_another_seed_draws_other_arrivals(pattern: Pattern) -> None:
    traffic = Traffic(load_rps=50.0, pattern=pattern)
    assert not np.array_equal(draw(traffic, 10.0, (1, 2)), draw(traffic, 10.0, (1, 3)))


def test_poisson_gaps_are_exponential_at_the_load() -> None:
    gaps_s = np.diff(draw(Traffic(load_rps=100.0), 300.0, (7,)))
    assert gaps_s.mean() == pytest.approx(0.01, rel=0.03)
    assert gaps_s.std() == pytest.approx(0.01, rel=0.05)


def test_counts_vary_from_draw_to_draw_as_poisson_counts_do() -> None:
    counts = [len(draw(Traffic(load_rps=10.0), 10.0, (seed,))) for seed in range(400)]
    assert np.mean(counts) == pytest.approx(100, rel=0.02)
    assert np.var(counts) == pytest.approx(100, rel=0.25)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=80),
    st.integers(1, 200),
    st.integers(0, 1000),
)
def test_a_window_of_a_trace_is_a_stretch_of_it_moved_to_zero(
    gaps: list[int], length: int, seed: int
) -> None:
    trace_s = np.cumsum([0, *gaps]).astype(np.float64)
    window_s = draw(Traffic(load_rps=1.0, pattern=Trace(times_s=trace_s)), length + 0.5, (seed,))
    assert window_s[0] == 0
    assert window_s[-1] <= length
    starts = [start for start in set(trace_s) if start == 0 or start + length <= trace_s[-1]]
    stretches = [
        (trace_s[(trace_s >= start) & (trace_s <= start + length)] - start).tolist()
        for start in starts
    ]
    assert window_s.tolist() in stretches


def test_busy_stretches_are_sampled_in_proportion_to_their_requests() -> None:
    trace_s = np.concatenate([np.arange(0, 100, 10.0), np.arange(100, 110, 0.1), [130.0]])
    traffic = Traffic(load_rps=1.0, pattern=Trace(times_s=trace_s))
    busy = sum(len(draw(traffic, 2.0, (seed,))) > 1 for seed in range(300))
    assert busy / 300 == pytest.approx(100 / 110, abs=0.06)


def test_a_trace_shorter_than_the_run_is_played_whole() -> None:
    trace_s = np.array([0.0, 1.0, 4.0])
    np.testing.assert_array_equal(
        draw(Traffic(load_rps=0.5, pattern=Trace(times_s=trace_s)), 9.0, (1,)), trace_s
    )


@pytest.mark.parametrize(
    "text",
    [
        "10\n11\n12.5\n",
        "time,size\n10,3\n11,4\n12.5,1\n",
        "\n10\n\n11\n12.5\n\n",
        "10\r\n11\r\n12.5",
    ],
)
def test_a_trace_is_read_from_the_first_column_and_starts_at_zero(
    tmp_path: Path, text: str
) -> None:
    traffic = read_trace(write(tmp_path, text))
    assert isinstance(traffic.pattern, Trace)
    assert traffic.pattern.times_s.tolist() == [0.0, 1.0, 2.5]
    assert traffic.load_rps == pytest.approx(2 / 2.5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1\nsoon\n3\n", "line 2: 'soon'"),
        ("1\n2\n,7\n", "line 3: ''"),
        ('1\n""\n3\n', "line 2: ''"),
        ("1\n\n  \n3\n", "line 3: ''"),
        ("t\nu\n1\n2\n", "line 2: 'u'"),
        ("-1\n2\n", "line 1: '-1'"),
        ("1\nnan\n", "line 2: 'nan'"),
        ("1\ninf\n", "line 2: 'inf'"),
        ("1\n\n3\n2\n", "line 4: 2 s comes after 3 s"),
        ("", "at least two arrivals"),
        ("time\n5\n", "at least two arrivals"),
        ("5\n5\n5\n", "at least two arrivals"),
    ],
)
def test_a_bad_trace_is_refused_with_the_line_named(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(UsageError, match=r"^--trace ") as caught:
        read_trace(write(tmp_path, text))
    assert complaint in str(caught.value)


def test_an_unreadable_trace_is_refused_in_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "absent.csv", tmp_path, binary):
        with pytest.raises(UsageError, match=r"cannot be read: .+"):
            read_trace(path)


def test_a_trace_as_long_as_the_run_ends_before_it() -> None:
    assert (
        draw(Traffic(load_rps=1, pattern=Trace(times_s=np.array([0.0, 1.0, 2.0]))), 2.0, (1,))[-1]
        < 2.0
    )


def test_a_byte_order_mark_costs_no_arrival(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeff0\n1\n3\n", encoding="utf-8")
    pattern = read_trace(tmp_path / "t.csv").pattern
    assert isinstance(pattern, Trace)
    assert pattern.times_s.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "1700000000000000000\n1700000000100000000\n",
            "more than a year: times must be in seconds",
        ),
        ("0\n5e-324\n", "more than can be issued on one machine"),
        ("0\n" * 50 + "1e-9\n", "more than can be issued on one machine"),
    ],
)
def test_times_that_are_no_seconds_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_trace(write(tmp_path, text))


def test_a_trace_of_too_many_arrivals_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotune.arrivals.MOST_ARRIVALS", 3)
    assert read_trace(write(tmp_path, "0\n1\n2\n")).load_rps == 1
    with pytest.raises(UsageError, match="has more than 3 arrivals"):
        read_trace(write(tmp_path, "0\n1\n2\n3\n"))
