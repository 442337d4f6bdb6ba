"""Both files load by load: what each answers, and which of its numbers differ."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from autotune.comparison.evidence import (
    Seen,
    log_ratio,
    log_ratio_over_default,
    seen,
    share_within_slo,
)
from autotune.comparison.records import ADDED, Answer, Basis, Difference, Quantity
from autotune.config_file import PolicyEntry, TunedFile
from autotune.spec import Slo
from autotune.stats.independent import CONFIDENCE, Estimate, chance, holm, subtract

NEAR = 0.01
"""Loads this close are one: near saturation a p99 grows ten times as fast as the load."""
DRIFT = 0.10
"""By so much one system differs from itself between two days, so no closer call is made where no
default in both files tells the machine's part. Six undisturbed searches of one model on a shared
machine within four minutes had medians within 4 % of each other but for one, 30 % above."""
LOG_DRIFT = math.log1p(DRIFT)
_OF_SHARE = 1 / math.e
"""A small change of the logarithm of latencies changes the share within an SLO by so much of it at
most, where they are exponential: x exp(-x) <= 1/e."""


_LARGEST = 700.0
"""Logarithm of a ratio, at most, either way: of more there is no number."""


class LoadPair(NamedTuple):
    """A load, and the entries of the files that were measured at it; one of them at least."""

    load_rps: float
    a: PolicyEntry | None
    b: PolicyEntry | None


def pair_loads(a: TunedFile, b: TunedFile) -> list[LoadPair]:
    """Return all loads of both files, ascending; those that are nearly equal as one."""
    pairs = []
    left = list(b.policy)
    for entry in a.policy:
        near = [one for one in left if abs(math.log(one.load_rps / entry.load_rps)) <= NEAR]
        other = min(near, key=lambda one: abs(one.load_rps - entry.load_rps), default=None)
        if other is not None:
            left.remove(other)
        pairs.append(LoadPair(entry.load_rps, entry, other))
    pairs += [LoadPair(entry.load_rps, None, entry) for entry in left]
    return sorted(pairs, key=lambda pair: pair.load_rps)


def answer_of(tuned: TunedFile, pair: LoadPair, mine: PolicyEntry | None) -> Answer | None:
    """Return what a file answers to a load, measured or not; None: the load is above all."""
    entry = mine or tuned.entry_for(pair.load_rps)
    if entry is None:
        return None
    return Answer(
        config=entry.config,
        entry_load_rps=entry.load_rps,
        evidence=entry.evidence,
        meets_slo=entry.meets_slo,
    )


class Sides(NamedTuple):
    """Both files at one load."""

    a: Seen
    b: Seen
    default_a: Seen | None
    default_b: Seen | None

    @property
    def both_default(self) -> bool:
        """Whether both files answer with the runtime's default."""
        return self.a.config == self.b.config and self.a.config.is_default

    @property
    def defaults(self) -> tuple[Seen, Seen] | None:
        """The runtime's default of both, if both measured it."""
        if self.default_a is None or self.default_b is None:
            return None
        return self.default_a, self.default_b


def sides_of(a: TunedFile, b: TunedFile, pair: LoadPair) -> Sides | None:
    """Return what was measured at a load; None: not both files did."""
    if pair.a is None or pair.b is None:
        return None
    mine, others = seen(a, pair.a, of_default=False), seen(b, pair.b, of_default=False)
    if mine is None or others is None:
        return None
    return Sides(mine, others, seen(a, pair.a, of_default=True), seen(b, pair.b, of_default=True))


def quantities_of(a: Slo, b: Slo) -> list[Quantity]:
    """Return what of two files with these objectives can be compared at a load."""
    found: list[Quantity] = ["p50_ms", "p95_ms", "p99_ms"]
    if a.percentile == b.percentile and a.percentile not in (50, 95, 99):
        found.append("objective_ms")
    if a.latency_ms == b.latency_ms:
        found.append("slo_attainment")
    return [*found, "cpu_ms_per_request"]


def compare_defaults(
    sides: Sides, quantities: Iterable[Quantity], margin: float
) -> list[Difference]:
    """Compare the runtime's default with itself; nothing where not both files measured it."""
    if sides.defaults is None:
        return []
    return _overload(*sides.defaults) + [
        _direct(*sides.defaults, quantity, margin) for quantity in quantities
    ]


def moved_by(controls: Iterable[Difference]) -> float:
    """Return by how much the logarithm of latencies moved where a control differs; 0: nowhere."""
    return max((_log_change(one) for one in controls if one.verdict == "differs"), default=0.0)


def compare_answers(
    sides: Sides, quantities: Iterable[Quantity], controlled: bool, moved: float
) -> list[Difference]:
    """Compare the answers.

    Args:
        sides: what was measured at the load.
        quantities: what to compare.
        controlled: whether nothing but the machine can have changed the runtime's default.
        moved: by how much the machine did, as of `moved_by`.
    """
    if controlled and sides.both_default:
        return []  # the default against itself says it all
    defaults = sides.defaults if controlled else None
    if defaults is not None and any(one.spoilt() or _endless(one) for one in defaults):
        defaults = None
    found = []
    for quantity in quantities:
        if defaults is None or quantity in ADDED:
            found.append(_direct(sides.a, sides.b, quantity, max(LOG_DRIFT, moved)))
        else:
            # What slows a machine down need not slow all configurations down alike.
            margin = LOG_DRIFT if moved else 0.0
            found.append(_over_default(sides, defaults, quantity, margin))
    return _overload(sides.a, sides.b) + found


def settle(groups: Sequence[Sequence[Difference]]) -> list[list[Difference]]:
    """Say of all differences of a kind, in groups, which are more than noise.

    Their chances count together, after Holm, so that comparing much makes no more false alarms.
    """
    chances = [one.chance for group in groups for one in group if one.chance is not None]
    adjusted = iter(holm(chances))

    def settled(one: Difference) -> Difference:
        if one.chance is None:
            return one
        counted = next(adjusted)
        verdict = "differs" if counted <= 1 - CONFIDENCE else "noise"
        return replace(one, chance=counted, verdict=verdict)

    return [[settled(one) for one in group] for group in groups]


def as_difference(
    quantity: Quantity,
    values: tuple[float | None, float | None],
    basis: Basis,
    found: Estimate,
    margin: float,
) -> Difference:
    """Return a difference whose chance counts alone, from an estimate of b - a or its log ratio."""
    by_chance = chance(found, margin)
    shown = [
        None if end is None else end if quantity in ADDED else _exp(end)
        for end in (found.value, found.low, found.high)
    ]
    return Difference(
        quantity=quantity,
        a=values[0],
        b=values[1],
        basis=basis,
        change=shown[0],
        low=shown[1],
        high=shown[2],
        chance=by_chance,
        verdict="unknown" if by_chance is None else "noise",
        reason="too few requests to bound it" if by_chance is None else "",
    )


def _unknown(one: Difference, reason: str) -> Difference:
    return replace(one, chance=None, verdict="unknown", reason=reason)


def _direct(a: Seen, b: Seen, quantity: Quantity, margin: float) -> Difference:
    if quantity == "slo_attainment":
        shares = share_within_slo(a), share_within_slo(b)
        found = None if shares[0] is None or shares[1] is None else subtract(shares[1], shares[0])
        return _told(a, b, quantity, "direct", (found, _OF_SHARE * margin))
    return _told(a, b, quantity, "direct", (log_ratio(a, b, quantity), margin))


def _over_default(
    sides: Sides, defaults: tuple[Seen, Seen], quantity: Quantity, margin: float
) -> Difference:
    found = log_ratio_over_default((sides.a, defaults[0]), (sides.b, defaults[1]), quantity)
    return _told(sides.a, sides.b, quantity, "over_default", (found, margin))


def _exp(log: float) -> float:
    return math.exp(min(max(log, -_LARGEST), _LARGEST))


def _told(
    a: Seen, b: Seen, quantity: Quantity, basis: Basis, found: tuple[Estimate | None, float]
) -> Difference:
    values = a.value(quantity), b.value(quantity)
    estimate, margin = found
    one = as_difference(quantity, values, basis, estimate or Estimate(0.0, None, None), margin)
    reason = _why_unknown(a, b, quantity)
    if estimate is None:
        one = replace(one, change=None)
        reason = reason or "too few windows to say how much they vary"
    return _unknown(one, reason) if reason else one


def _why_unknown(a: Seen, b: Seen, quantity: Quantity) -> str:
    for name, side in (("a", a), ("b", b)):
        if side.spoilt():
            return f"{name} {side.spoilt()}"
        if quantity not in ADDED and _endless(side):
            return f"{name} {_endless(side)}"
        if side.value(quantity) is None:
            return f"{name} lost too many requests"
    return ""


def _log_change(one: Difference) -> float:
    if one.change is None or one.quantity == "diverged":
        return math.inf
    return abs(one.change) / _OF_SHARE if one.quantity in ADDED else abs(math.log(one.change))


def _endless(one: Seen) -> str:
    return "has a queue that grows without end" if one.summary.diverged else ""


def _overload(a: Seen, b: Seen) -> list[Difference]:
    """One difference where exactly one queue grows without end: proven if the other meets the SLO.

    Near saturation a short window may show it of one and not of the other by chance.
    """
    if a.summary.diverged == b.summary.diverged:
        return []
    other = b if a.summary.diverged else a
    proven = other.summary.slo_verdict == "met"
    spoilt = _why_unknown(a, b, "diverged")
    return [
        Difference(
            quantity="diverged",
            a=a.value("diverged"),
            b=b.value("diverged"),
            basis="direct",
            change=float(b.summary.diverged) - float(a.summary.diverged),
            low=None,
            high=None,
            chance=None,
            verdict="differs" if proven and not spoilt else "unknown",
            reason=spoilt or ("" if proven else "too few requests to say that the other is stable"),
        )
    ]
