import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import UsageError
from autotune.units import (
    MAX_LOAD_RPS,
    format_duration,
    format_ms,
    format_percent,
    format_rps,
    format_shape,
    parse_duration_s,
    parse_load_rps,
    parse_loads_rps,
    parse_percentile,
    parse_shapes,
    parse_share,
    parse_typed_shapes,
    parse_watts,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", 0.05),
        ("250us", 250e-6),
        ("0.5s", 0.5),
        (".5s", 0.5),
        ("3m", 180.0),
        ("3min", 180.0),
        ("2h", 7200.0),
        (" 50 MS ", 0.05),
        ("1e3ms", 1.0),
        ("3 minutes", 180.0),
        ("1m30s", 90.0),
        ("1h 30 min", 5400.0),
        ("1.5h", 5400.0),
        ("50 \u00b5s", 50e-6),
        ("5.s", 5.0),
        ("20 seconds", 20.0),
    ],
)
def test_a_duration_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert parse_duration_s(text, "--slo") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a duration"),
        ("fast", "not a duration"),
        ("5ms 3s", "not a duration"),
        ("nan s", "not a duration"),
        ("50", "no unit"),
        ("50parsecs", "unknown unit 'parsecs'"),
        ("0ms", "above zero"),
        ("-5ms", "above zero"),
        ("1e400s", "above zero"),
        ("30s1m", "not a duration"),
        ("1h1h", "not a duration"),
        ("1m30", "not a duration"),
        ("50", "write 50ms, 50s or 50m"),
        ("50mss", "did you mean 'ms'?"),
        ("3 minuts", "did you mean 'minutes'?"),
        ("0,05s", "write 0.05s"),
        ("1,500ms", "write 1.500ms or 1500ms"),
        ("1:30", "write it like 1m30s"),
        ("50ms" * 99, "not a duration"),
        (99_999 * "9" + "!", "above zero"),
        (99_999 * " " + "!", "not a duration"),
    ],
)
def test_a_bad_duration_is_refused_naming_option_text_and_fault(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration_s(text, "--slo")
    message = str(caught.value)
    assert message.startswith(f"--slo {text!r}")
    assert complaint in message
    assert "\n" not in message


@given(st.integers(1, 10**9), st.sampled_from([("us", 1e6), ("ms", 1e3), ("s", 1.0)]))
def test_any_whole_duration_is_read_exactly(number: int, unit: tuple[str, float]) -> None:
    name, per_second = unit
    assert parse_duration_s(f"{number}{name}", "--budget") == pytest.approx(number / per_second)


@pytest.mark.parametrize(
    "text",
    [
        "80",
        "80rps",
        " 80 RPS ",
        "80/s",
        "8e1",
        "0.08k",
        ".08 k rps",
        "4800/min",
        "80 req/s",
        "80qps",
    ],
)
def test_a_load_is_read_with_and_without_its_unit(text: str) -> None:
    assert parse_load_rps(text, "--load") == 80.0


def test_the_largest_load_is_still_allowed() -> None:
    assert parse_load_rps("1e6", "--load") == MAX_LOAD_RPS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "many",
        "0",
        "-3",
        "nan",
        "inf",
        "1000001",
        "80ms",
        "k",
        "1kk",
        "80Hz",
        "8" + 9999 * " " + "!",
    ],
)
def test_a_bad_load_is_refused_naming_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--load "):
        parse_load_rps(text, "--load")


def test_several_loads_where_one_is_wanted_are_told_from_nonsense() -> None:
    with pytest.raises(UsageError, match="names several loads where one is wanted"):
        parse_load_rps("80,160", "--load")


@pytest.mark.parametrize(
    ("text", "percentile"),
    [("99", 99), ("p99", 99), ("P99.9", 99.9), ("99%", 99), (" 99.5 % ", 99.5), ("1", 1)],
)
def test_a_percentile_is_read_as_people_write_it(text: str, percentile: float) -> None:
    assert parse_percentile(text, "--percentile") == percentile


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a percentage"),
        ("p", "'p' is not a percentage"),
        ("ninety", "write it like 99 or 99.9"),
        ("nan", "not a percentage"),
        ("0", "between 0 and 100, like 99"),
        ("100", "between 0 and 100, like 99"),
        ("-5", "between 0 and 100, like 99"),
        ("p999", "between 0 and 100, like 99.9"),
        ("0.99", "is a share: write 99 for 99 % of requests"),
        ("99,9", "write 99.9"),
    ],
)
def test_a_percentile_that_is_none_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=r"^--percentile ") as caught:
        parse_percentile(text, "--percentile")
    assert complaint in str(caught.value)


@given(st.floats(0.01, 1e5))
def test_a_duration_is_read_as_it_is_written(seconds: float) -> None:
    written = format_duration(seconds)
    nearly = pytest.approx(
        seconds, rel=0.006, abs=31 if seconds >= 3600 else 0.6 * (seconds >= 100)
    )
    assert parse_duration_s(written, "--budget") == nearly


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.05, "50 ms"),
        (0.9999, "1 s"),
        (1.5, "1.5 s"),
        (80, "80 s"),
        (99.999, "100 s"),
        (100, "1 min 40 s"),
        (300, "5 min"),
        (5400, "1 h 30 min"),
        (7200, "2 h"),
    ],
)
def test_durations_of_note(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_loads_come_back_ascending_and_without_repeats() -> None:
    assert parse_loads_rps("80, 20rps,80,5", "--load") == (5.0, 20.0, 80.0)


@pytest.mark.parametrize("text", ["", "10,", ",10", "10,,20", "10;20"])
def test_an_empty_or_foreign_entry_among_loads_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_loads_rps(text, "--load")


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [
        (None, "-"),
        (math.inf, "inf"),
        (0.0, "0.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12345.6, "12,346"),
    ],
)
def test_milliseconds_show_three_digits_and_mark_the_unknown(
    value_ms: float | None, text: str
) -> None:
    assert format_ms(value_ms) == text


@pytest.mark.parametrize(
    ("value_rps", "text"), [(0.25, "0.25"), (1.234, "1.23"), (80.0, "80"), (12345.0, "12,345")]
)
def test_loads_show_no_needless_fraction(value_rps: float, text: str) -> None:
    assert format_rps(value_rps) == text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.0"), (0.9996, "99.960"), (0.999, "99.9"), (0.0, "0.0")]
)
def test_percentages_of_note(share: float, text: str) -> None:
    assert format_percent(share) == text


@given(st.floats(0, 0.99999))
def test_a_miss_is_never_rounded_up_to_all(share: float) -> None:
    assert 0 <= float(format_percent(share)) < 100


@pytest.mark.parametrize("share", [0.999996, 0.9999999])
def test_a_miss_in_a_million_is_still_a_miss(share: float) -> None:
    assert float(format_percent(share)) < 100


@pytest.mark.parametrize("text", ["1e308h", "1e-323us"])
def test_a_duration_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration_s(text, "--slo")


@given(
    st.dictionaries(
        st.text("abxz_:/.=", min_size=1).filter(lambda name: not name.endswith("=")),
        st.lists(st.integers(1, 4096), min_size=1, max_size=5),
    )
)
def test_shapes_are_read_as_they_are_written(shapes: dict[str, list[int]]) -> None:
    texts = [f"{name}={format_shape(shape)}" for name, shape in shapes.items()]
    assert parse_shapes(texts, "--shape") == shapes


@pytest.mark.parametrize(
    "text", ["x=1,3,320", "x=[1, 3, 320]", "x=(1x3x320)", " x = 1 x3\u00d7320"]
)
def test_a_shape_is_read_however_sizes_are_set_apart(text: str) -> None:
    assert parse_shapes([text], "--shape") == {"x": [1, 3, 320]}


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (["x"], "NAME=SIZES"),
        (["=1x2"], "NAME=SIZES"),
        (["x="], "NAME=SIZES"),
        (["x=1xx2"], "NAME=SIZES"),
        (["x=1_0"], "NAME=SIZES"),
        (["x=" + 9999 * "9"], "NAME=SIZES"),
        (["x=1x-2"], "at least 1"),
        (["x=1x0"], "at least 1"),
        (["x=1", "x=2"], "given before"),
    ],
)
def test_a_bad_shape_is_refused(texts: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=r"^--shape ") as caught:
        parse_shapes(texts, "--shape")
    assert complaint in str(caught.value)


def test_a_shape_may_name_its_type() -> None:
    texts = ["ids=1x128:int64", "x:0=1x3", "mask=1x128:bool"]
    shapes, dtypes = parse_typed_shapes(texts, "--shape")
    assert shapes == {"ids": [1, 128], "x:0": [1, 3], "mask": [1, 128]}
    assert dtypes == {"ids": "int64", "mask": "bool"}
    with pytest.raises(UsageError, match=r"^--shape 'x=1:int46': .* did you mean 'int64'"):
        parse_typed_shapes(["x=1:int46"], "--shape")


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), (" 12.5 % ", 0.125)])
def test_a_share_is_read_with_or_without_its_sign(text: str, share: float) -> None:
    assert parse_share(text, "--safe") == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("5", "; did you mean 5%?"), ("0,05", ": write 0.05"), ("5,5%", "write 5.5%")],
)
def test_a_share_that_was_meant_is_named(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_share(text, "--safe")
    assert str(caught.value).endswith(hint)


@pytest.mark.parametrize("text", ["", "x", "0", "100%", "1", "-5%", "nan", "5%%"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--safe"):
        parse_share(text, "--safe")


@pytest.mark.parametrize("text", ["2.5", "2.5W", "2.5 w", " 2.5 W "])
def test_watts_are_read_with_and_without_their_unit(text: str) -> None:
    assert parse_watts(text, "--idle-watts") == 2.5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2,5W", "--idle-watts '2,5W' is no power: write 2.5W"),
        ("much", "--idle-watts 'much' is no power: write it like 150W or 2.5W"),
        ("0", "--idle-watts '0' must be above zero, and at most 100,000 W"),
        ("-1W", "must be above zero"),
        ("nan", "must be above zero"),
        ("1e9W", "at most 100,000 W"),
    ],
)
def test_a_power_that_is_none_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        parse_watts(text, "--idle-watts")
