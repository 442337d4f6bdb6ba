"""Price lists: what they say, and every way to get one wrong."""

import math
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import UsageError
from autotune.planning.prices import MachinePrice, Prices, make_prices, read_prices

EXAMPLE = Path(__file__).parents[2] / "examples" / "plan-a-fleet" / "prices.toml"
WHOLE = """
currency = "USD"
as_of = 2026-01-31
source = "https://example.org/prices"

[machines."c7g.large"]
price_per_hour = 0.0725
billed_by = "minute"
minimum = "60s"
start = "1m30s"
most = 20

[machines.spare]
price_per_hour = 1

[functions.lambda]
price_per_request = 0.2e-6
price_per_gb_second = 0.0000166667
memory_mib = [3538, 1769]
like = "spare"
mib_per_core = 1769
billed_step = "1ms"
cold_start = "0s"
keep_alive = "10m"
most = 1000
"""


def prices_of(text: str) -> Prices:
    return make_prices(tomllib.loads(text), "--prices p.toml")


def test_a_list_is_read_with_its_units() -> None:
    found = prices_of(WHOLE)
    assert (found.currency, found.as_of) == ("USD", "2026-01-31")
    assert found.machines["c7g.large"] == MachinePrice(
        name="c7g.large",
        per_hour=0.0725,
        billed_by_s=60.0,
        minimum_s=60.0,
        start_s=90.0,
        most=20,
    )
    function = found.functions["lambda"]
    assert function.memory_mib == [1769, 3538]
    assert (function.like, function.billed_by_s, function.most) == ("spare", 0.001, 1000)
    assert (function.cold_start_s, function.keep_alive_s) == (0.0, 600.0)


def test_the_example_s_prices_are_read_and_dated() -> None:
    found = read_prices(EXAMPLE)
    assert found.as_of is not None
    assert found.source is not None
    assert {one.minimum_s for one in found.machines.values()} == {60.0}
    assert found.functions["lambda-x86"].like in found.machines


def test_what_is_left_out_has_the_records_defaults() -> None:
    found = prices_of(WHOLE)
    assert found.machines["spare"] == MachinePrice(name="spare", per_hour=1.0)
    assert prices_of('currency = "USD"\n[machines.a]\nprice_per_hour = 1').source is None


def test_a_day_may_be_a_text_or_have_a_time() -> None:
    for day in ('"2026-01-31"', "2026-01-31T10:00:00Z"):
        found = prices_of(f'currency = "USD"\nas_of = {day}\n[machines.a]\nprice_per_hour = 1')
        assert found.as_of == "2026-01-31"


def machine(line: str) -> str:
    return f'currency = "USD"\n[machines.a]\nprice_per_hour = 1\n{line}'


def function(line: str, without: str = "") -> str:
    lines = {
        "price_per_request": "price_per_request = 1e-7",
        "price_per_gb_second": "price_per_gb_second = 1e-5",
        "memory_mib": "memory_mib = [1024]",
    }
    lines.pop(without, None)
    return machine("") + "\n[functions.f]\n" + "\n".join([*lines.values(), line])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("[machines.a]\nprice_per_hour = 1", 'says no currency: write currency = "USD"'),
        ('currency = "USD"', "has nothing to buy"),
        ('currency = "USD"\n[machines]', "has nothing to buy"),
        ("currency = 3\n[machines.a]\nprice_per_hour = 1", "currency: must be a string"),
        ('currency = ""\n[machines.a]\nprice_per_hour = 1', "is empty or cannot be printed"),
        ('currency = "\\u001b[31m"\n[machines.a]\nprice_per_hour = 1', "cannot be printed"),
        ('currency = "US Dollars, sir"\n', "longer than 12 letters"),
        ('curency = "USD"', "'curency' is no key here; did you mean 'currency'?"),
        ('currency = "USD"\nzz = 1', "'zz' is no key here: known are currency, as_of"),
        ('currency = "USD"\nmachines = 3', "machines: is no table: write [machines.NAME]"),
        ('currency = "USD"\n[machines]\nprice_per_hour = 3', "price_per_hour: is no table"),
        ('currency = "USD"\n[machines.c7g.large]\nprice_per_hour = 1', "with a dot is quoted"),
        ('currency = "USD"\n[machines.a]\nmost = 1', "machines.a: says no price_per_hour"),
        (machine("price_per_our = 1"), "did you mean 'price_per_hour'?"),
        (machine('currency = "EUR"'), "is in EUR, the list in USD: two currencies"),
        (machine('billed_by = "hours"'), 'must be "second", "minute" or "hour"; did you mean'),
        (machine("billed_by = 3"), 'must be "second", "minute" or "hour"'),
        (machine("start = 45"), 'start: must be a duration in quotes, like "45s"'),
        (machine('start = "45"'), "has no unit"),
        (machine('start = "-45s"'), "must be above zero"),
        (machine('start = "45 parsecs"'), "has an unknown unit"),
        (machine('minimum = "25h"'), "is more than a day"),
        (machine("most = 0"), "must be above zero"),
        (machine("most = 1.5"), "must be a whole number"),
        (machine("most = 10000000"), "must be a whole number from 1 to 1,000,000"),
        (machine("most = true"), "must be a number, without quotes"),
        ("as_of = 3\n" + machine(""), "as_of: is no day: write it like 2026-01-31"),
        ('as_of = "yesterday"\n' + machine(""), "as_of: is no day"),
        (function("", "memory_mib"), "functions.f: says no memory_mib"),
        (function("", "price_per_request"), "functions.f: says no price_per_request"),
        (function("memory_mib = []", "memory_mib"), "must be 1 to 256 sizes"),
        (function("memory_mib = [512, 512]", "memory_mib"), "names a size twice"),
        (function('memory_mib = ["1 GB"]', "memory_mib"), "must be a number, without quotes"),
        (function('like = "b"'), "functions.f.like: the list has no machine 'b'"),
        (function('billed_step = "0ms"'), "billed_step: must be above zero"),
        (function("mib_per_core = 0"), "mib_per_core: must be above zero"),
        (machine("") + "\n[functions.a]\nprice_per_request = 0", "says no price_per_gb_second"),
        (function("").replace("functions.f", "functions.a"), "'a' is a machine and a function"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_place(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        prices_of(text)
    assert said in str(refused.value)
    assert str(refused.value).startswith("--prices p.toml: ")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("price", ["-1", "nan", "inf", "-inf", "0", "1e300", '"1"', "true", "[1]"])
def test_no_price_but_a_plain_number_above_zero(price: str) -> None:
    with pytest.raises(UsageError, match=r"machines\.a\.price_per_hour: ") as refused:
        prices_of(f'currency = "USD"\n[machines.a]\nprice_per_hour = {price}')
    assert str(refused.value).isprintable()


def test_a_file_is_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    for data, said in (
        (b"\xff\xfe", "is not UTF-8"),
        (b"currency = ", "is not TOML"),
        (b'[machines.a]\n[machines.a]\ncurrency = "USD"', "is not TOML"),
        (b"a = " + b"[" * 3000, "is not TOML"),
        (b"#" * 4_000_001, "cannot be read: is larger than 4 MB"),
    ):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=said) as refused:
            read_prices(path)
        assert str(refused.value).isprintable()
    path.write_text(WHOLE)
    assert read_prices(path) == prices_of(WHOLE)
    with pytest.raises(UsageError, match=r"no such file; did you mean '.*p\.toml'"):
        read_prices(tmp_path / "q.toml")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no regular file"):
        read_prices(tmp_path / "pipe")


def test_too_many_machines_are_a_slip() -> None:
    many = {str(number): {"price_per_hour": 1} for number in range(1001)}
    with pytest.raises(UsageError, match="machines: are 1001, and may be at most 1000"):
        make_prices({"currency": "USD", "machines": many}, "prices")


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.dates(),
        st.datetimes(),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["price_per_hour", "start", "most", "memory_mib", "a", "x.y"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["currency", "as_of", "source", "machines", "functions", "else"]),
        values,
        max_size=5,
    )
)
def test_whatever_a_list_holds_it_is_read_or_refused_in_a_line(table: dict[str, object]) -> None:
    refusal = ""
    try:
        found = make_prices(table, "prices")
    except UsageError as refused:
        refusal = str(refused)
    else:
        assert all(0 < one.per_hour < math.inf for one in found.machines.values())
        assert found.machines or found.functions
    assert refusal.isprintable()
