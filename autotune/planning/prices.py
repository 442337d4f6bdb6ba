"""A price list: what machines and function platforms cost, as a TOML file says it.

    currency = "USD"
    as_of = 2026-01-31
    source = "https://..."

    [machines."c7g.large"]
    price_per_hour = 0.0725
    minimum = "60s"             # least that is billed each time one is started
    start = "45s"               # from asking for one until it serves

    [functions.lambda]
    price_per_request = 0.2e-6
    price_per_gb_second = 0.0000166667
    memory_mib = [1769, 3538]

What is left out of a table has the default that the record's field names here.
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from autotune.bounded_file import read_bytes
from autotune.errors import UsageError, did_you_mean, did_you_mean_file
from autotune.spec import Record
from autotune.tabular import printable
from autotune.units import DAY_S, parse_duration_s

MOST_BYTES = 4_000_000
MOST_OFFERS = 1000
"""Machines or functions of a list."""
MOST_MEMORIES = 256
MOST_INSTANCES = 1_000_000
DEAREST = 1e9
"""Of any price: more is a slip of the pen."""
_LONGEST_NAME = 100
_LONGEST_TEXT = 1000
_UNITS_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_ZERO = re.compile(r"\s*0+(\.0*)?\s*[a-z]*\s*", re.IGNORECASE)
_TOP = ("currency", "as_of", "source", "machines", "functions")

Table = Mapping[str, Any]


class MachinePrice(Record, frozen=True):
    """What a machine type costs, and how long one takes to serve."""

    name: str
    per_hour: float
    billed_by_s: float = 1.0
    """Time is billed in whole steps of this."""
    minimum_s: float = 0.0
    """Least that is billed each time a machine is started."""
    start_s: float = 60.0
    """From asking for a machine until it answers requests."""
    most: int | None = None
    """Of them at a time; None: as many as wanted."""


class FunctionPrice(Record, frozen=True):
    """What executions on a function platform cost, and what an instance of it is."""

    name: str
    per_request: float
    """For each call, which here carries one batch."""
    per_gb_s: float
    """For a second with 1024 MiB."""
    memory_mib: list[int]
    """Sizes that may be chosen, ascending."""
    like: str | None = None
    """Machine type whose service times hold for a core of it; None: the first of the plan."""
    mib_per_core: float = 1769.0
    """Memory that comes with one core. AWS Lambda: 1769 MB, by its developer guide."""
    billed_by_s: float = 0.001
    """Executions are billed in whole steps of this."""
    cold_start_s: float = 2.0
    """What a request waits for besides, where no warm instance is free."""
    keep_alive_s: float = 600.0
    """How long an idle instance stays warm."""
    most: int | None = None
    """Instances at a time; None: as many as wanted."""


class Prices(Record, frozen=True):
    """A price list."""

    currency: str
    as_of: str | None
    """Day of the prices, ISO 8601."""
    source: str | None
    machines: dict[str, MachinePrice]
    """By name; likewise, where there may be none of either:"""
    functions: dict[str, FunctionPrice]


def read_prices(path: Path, option: str = "--prices") -> Prices:
    """Return the price list of a TOML file.

    Args:
        path: a regular file of at most `MOST_BYTES`.
        option: how the person calls it, for complaints.

    Raises:
        UsageError: it cannot be read, is not TOML, holds a key that is not known or a value that
            cannot be a price, or nothing to buy.
    """
    where = f"{option} {path}"
    try:
        table = tomllib.loads(read_bytes(path, MOST_BYTES).decode())
    except FileNotFoundError:
        hint = did_you_mean_file(path, (".toml",))
        raise UsageError(f"{where}: no such file{hint}") from None
    except OSError as error:
        raise UsageError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where}: is not UTF-8, so it is not TOML") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: is not TOML: {printable(str(error))}") from None
    return make_prices(table, where)


def make_prices(table: Table, where: str) -> Prices:
    """Return the price list that a TOML document holds.

    Args:
        table: as `tomllib` returns it.
        where: its name, for complaints.

    Raises:
        UsageError: as `read_prices`.
    """
    if not table:
        raise UsageError(f"{where}: is empty: it must name a currency, and machines or functions")
    _demand_known(table, _TOP, where)
    if "currency" not in table:
        raise UsageError(f'{where}: says no currency: write currency = "USD" at the top')
    currency = _text(table["currency"], f"{where}: currency", 12)
    machines = {
        name: _machine(name, one, inner)
        for name, one, inner in _offers(table, "machines", currency, where)
    }
    functions = {
        name: _function(name, one, inner)
        for name, one, inner in _offers(table, "functions", currency, where)
    }
    if not machines and not functions:
        raise UsageError(
            f"{where}: has nothing to buy: write a table like [machines.NAME] with price_per_hour"
        )
    for name in machines.keys() & functions.keys():
        raise UsageError(f"{where}: {name!r} is a machine and a function: rename one of them")
    for function in functions.values():
        if function.like is not None and machines and function.like not in machines:
            hint = did_you_mean(function.like, machines)
            raise UsageError(
                f"{where}: functions.{function.name}.like: the list has no machine "
                f"{printable(function.like)!r}{hint}"
            )
    return Prices(
        currency=currency,
        as_of=_day(table["as_of"], f"{where}: as_of") if "as_of" in table else None,
        source=_text(table["source"], f"{where}: source") if "source" in table else None,
        machines=machines,
        functions=functions,
    )


def _offers(
    table: Table, kind: str, currency: str, where: str
) -> list[tuple[str, dict[str, Any], str]]:
    """Return name, table and how to call it of each machine or function."""
    offers = table.get(kind, {})
    if not isinstance(offers, dict):
        raise UsageError(f"{where}: {kind}: is no table: write [{kind}.NAME]")
    if len(offers) > MOST_OFFERS:
        raise UsageError(f"{where}: {kind}: are {len(offers)}, and may be at most {MOST_OFFERS}")
    known = _MACHINE if kind == "machines" else _FUNCTION
    found = []
    for name, offer in offers.items():
        _text(name, f"{where}: {kind}: a name", _LONGEST_NAME)
        inner = f"{where}: {kind}.{name}"
        if not isinstance(offer, dict):
            hint = did_you_mean(name, known)
            raise UsageError(f"{inner}: is no table: write [{kind}.NAME]{hint}")
        if len(offer) > 0 and all(isinstance(one, dict) for one in offer.values()):
            raise UsageError(f'{inner}: a name with a dot is quoted: [{kind}."{name}.…"]')
        _demand_known(offer, (*known, "currency"), inner)
        own = _text(offer.get("currency", currency), f"{inner}.currency")
        if own != currency:
            raise UsageError(
                f"{inner}: is in {own}, the list in {currency}: two currencies: convert one"
            )
        found.append((name, offer, inner))
    return found


def _demand_known(table: Table, known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known) or f": known are {', '.join(known)}"
            raise UsageError(f"{where}: {printable(key)!r} is no key here{hint}")


def _read(table: Table, keys: "Mapping[str, _Key]", where: str) -> dict[str, Any]:
    """Return the record's fields that a table gives."""
    for key, (field, _) in keys.items():
        if field in ("per_hour", "per_request", "per_gb_s", "memory_mib") and key not in table:
            raise UsageError(f"{where}: says no {key}")
    return {
        field: read(table[key], f"{where}.{key}")
        for key, (field, read) in keys.items()
        if key in table
    }


def _machine(name: str, table: Table, where: str) -> MachinePrice:
    return MachinePrice(name=name, **_read(table, _MACHINE_KEYS, where))


def _function(name: str, table: Table, where: str) -> FunctionPrice:
    return FunctionPrice(name=name, **_read(table, _FUNCTION_KEYS, where))


def _text(value: Any, where: str, longest: int = _LONGEST_TEXT) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where}: must be a string in quotes")
    if not value.strip() or not value.isprintable():
        raise UsageError(f"{where}: {printable(value)[:longest]!r} is empty or cannot be printed")
    if len(value) > longest:
        raise UsageError(f"{where}: is longer than {longest} letters")
    return value


def _day(value: Any, where: str) -> str:
    """Return the ISO 8601 day of a date, or of a text that is one."""
    if isinstance(value, datetime):
        value = value.date()
    try:
        day = value if isinstance(value, date) else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise UsageError(f"{where}: is no day: write it like 2026-01-31") from None
    return day.isoformat()


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: must be a number, without quotes")
    if not math.isfinite(value):
        raise UsageError(f"{where}: {value} is no finite number")
    if value < 0:
        raise UsageError(f"{where}: must not be negative")
    if value > DEAREST:
        raise UsageError(f"{where}: is more than {DEAREST:,.0f}")
    return float(value)


def _above_zero(value: Any, where: str) -> float:
    number = _number(value, where)
    if not number > 0:
        raise UsageError(f"{where}: must be above zero")
    return number


def _whole(value: Any, where: str) -> int:
    number = _above_zero(value, where)
    if not isinstance(value, int) or number > MOST_INSTANCES:
        raise UsageError(f"{where}: must be a whole number from 1 to {MOST_INSTANCES:,}")
    return value


def _memories(value: Any, where: str) -> list[int]:
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= MOST_MEMORIES:
        raise UsageError(f"{where}: must be 1 to {MOST_MEMORIES} sizes, like [1769, 3538]")
    sizes = sorted(_whole(one, where) for one in values)
    if len(set(sizes)) < len(sizes):
        raise UsageError(f"{where}: names a size twice")
    return sizes


def _duration_s(value: Any, where: str) -> float:
    """Return seconds, zero among them: a machine may need no time to start."""
    if not isinstance(value, str):
        raise UsageError(f'{where}: must be a duration in quotes, like "45s"')
    seconds = 0.0 if _ZERO.fullmatch(value) else parse_duration_s(value, where)
    if seconds > DAY_S:
        raise UsageError(f"{where}: is more than a day")
    return seconds


def _step_s(value: Any, where: str) -> float:
    seconds = _duration_s(value, where)
    if not seconds > 0:
        raise UsageError(f"{where}: must be above zero")
    return seconds


def _billed_by_s(value: Any, where: str) -> float:
    if not isinstance(value, str) or value not in _UNITS_S:
        hint = did_you_mean(value, _UNITS_S) if isinstance(value, str) else ""
        raise UsageError(f'{where}: must be "second", "minute" or "hour"{hint}')
    return _UNITS_S[value]


_Key = tuple[str, Callable[[Any, str], Any]]
"""A record's field, and what reads it."""
_MACHINE_KEYS: dict[str, _Key] = {
    "price_per_hour": ("per_hour", _above_zero),
    "billed_by": ("billed_by_s", _billed_by_s),
    "minimum": ("minimum_s", _duration_s),
    "start": ("start_s", _duration_s),
    "most": ("most", _whole),
}
_FUNCTION_KEYS: dict[str, _Key] = {
    "price_per_request": ("per_request", _number),
    "price_per_gb_second": ("per_gb_s", _above_zero),
    "memory_mib": ("memory_mib", _memories),
    "like": ("like", _text),
    "mib_per_core": ("mib_per_core", _above_zero),
    "billed_step": ("billed_by_s", _step_s),
    "cold_start": ("cold_start_s", _duration_s),
    "keep_alive": ("keep_alive_s", _duration_s),
    "most": ("most", _whole),
}
_MACHINE, _FUNCTION = tuple(_MACHINE_KEYS), tuple(_FUNCTION_KEYS)
