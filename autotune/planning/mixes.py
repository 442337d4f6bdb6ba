"""The cheapest machines for a load, of several types.

Of type i with capacity c_i at price p_i there may be m_i: the least sum of n_i p_i with the sum of
n_i c_i at least the load and n_i <= m_i is a knapsack that has to be filled. It is solved by
dynamic programming over whole units of capacity: of one type after the other, copies in powers of
two (Kellerer, Pferschy and Pisinger 2004, "Knapsack Problems", 7.1.1), so limits hold exactly.
Loads up to W of every octave have units of their own, W / UNITS or less, and whole units of the
type that costs least for its capacity. Capacities are rounded down and loads up, never the other
way: a mix is at most dearer than it need be, by what a unit for each machine costs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.planning.machines import MachineType
from autotune.predict.queue_simulation import Indices
from autotune.spec import Slo
from autotune.units import HOUR_S

UNITS = 8192
"""Of capacity in the highest load of an octave, at least."""
MOST_UNITS = 65536
LEVELS = 400


class Mixes(NamedTuple):
    """Cheapest machines by load, L loads."""

    loads_rps: Samples
    """Shape (L,), ascending: all that the machines can take, so the last may be above what was
    asked for, or below it if there are not so many machines."""
    counts: npt.NDArray[np.int64]
    """Shape (L, types): machines of each type, whose capacities reach the load."""
    per_s: Samples
    """Shape (L,): what they cost a second, never falling."""


class _Offer(NamedTuple):
    """Types that take part; arrays over them."""

    capacity_rps: Samples
    per_s: Samples
    most: Indices


def no_mixes(types: int) -> Mixes:
    """Return what is mixed of machines that keep the SLO at no load: nothing."""
    return Mixes(np.zeros(0), np.zeros((0, types), dtype=np.int64), np.zeros(0))


def cheapest_mixes(types: Sequence[MachineType], highest_rps: float, slo: Slo) -> Mixes:
    """Return the cheapest machines for loads up to the highest.

    Loads between two of them need those of the next. Types that another one beats in capacity and
    price, of which there may be as many as wanted, take no part.

    Args:
        types: with capacities within the SLO.
        highest_rps: requests/s.
        slo: named in complaints.

    Raises:
        UsageError: no type meets the SLO.
    """
    capacity_rps = np.array([one.capacity_rps for one in types])
    if not np.any(capacity_rps > 0):
        raise UsageError(f"no machine type keeps {slo} at any load")
    per_s = np.array([one.price.per_hour / HOUR_S for one in types])
    usable = capacity_rps[capacity_rps > 0]
    enough = math.ceil(highest_rps / float(usable.min())) + 1
    most = np.array([enough if one.price.most is None else one.price.most for one in types])
    limited = np.array([one.price.most is not None for one in types])
    used = _undominated(capacity_rps, per_s, most, limited)
    offer = _Offer(capacity_rps[used], per_s[used], np.minimum(most[used], enough))
    wanted = _levels(offer, highest_rps)
    counts = np.zeros((len(wanted), len(types)), dtype=np.int64)
    counts[:, used] = _solve(offer, wanted)
    return _ascending(counts, capacity_rps, per_s)


def _undominated(
    capacity_rps: Samples, per_s: Samples, most: Indices, limited: npt.NDArray[np.bool_]
) -> Indices:
    """Return the types of which no other is as large, as cheap and unlimited."""
    kept: list[int] = []
    for place in np.lexsort((limited, -capacity_rps, per_s)):
        beaten = any(
            not limited[other] and capacity_rps[other] >= capacity_rps[place] for other in kept
        )
        if capacity_rps[place] > 0 and most[place] > 0 and not beaten:
            kept.append(int(place))
    return np.array(sorted(kept), dtype=np.int64)


def _levels(offer: _Offer, highest_rps: float) -> Samples:
    """Return loads, half of them in even ratios from the smallest machine, half evenly spaced."""
    highest_rps = min(highest_rps, float(offer.capacity_rps @ offer.most))
    least_rps = min(float(offer.capacity_rps.min()), highest_rps)
    ratios = np.geomspace(least_rps, highest_rps, LEVELS // 2)
    steps = np.linspace(least_rps, highest_rps, LEVELS // 2)
    # A little less than a sum of capacities, which rounding would put out of its machines' reach.
    inner = np.concatenate([ratios, steps]) * (1 - 4 / UNITS)
    return np.append(np.unique(inner), highest_rps * (1 - 1e-12))


def _solve(offer: _Offer, wanted: Samples) -> Indices:
    """Return machines for ascending loads, shape (loads, types of the offer)."""
    parts = []
    high = len(wanted)
    while high > 0:
        low = int(np.searchsorted(wanted, wanted[high - 1] / 2))
        parts.append(_octave(offer, wanted[low:high]))
        high = low
    return np.concatenate(parts[::-1])


def _octave(offer: _Offer, wanted: Samples) -> Indices:
    """Solve loads that are alike with one table."""
    value = int(np.argmin(offer.per_s / offer.capacity_rps))
    fine = math.ceil(UNITS * offer.capacity_rps[value] / wanted[-1])
    unit_rps = max(offer.capacity_rps[value] / fine, wanted[-1] / MOST_UNITS)
    sizes = np.floor(offer.capacity_rps / unit_rps * (1 + 1e-12)).astype(np.int64)
    needed = np.ceil(wanted / unit_rps * (1 - 1e-12)).astype(np.int64)
    most = np.minimum(offer.most, -(-int(needed[-1]) // np.maximum(sizes, 1)))
    if int(sizes @ most) < needed[-1]:
        # What rounding took away is made up by all that there is.
        most = np.where(sizes > 0, most, 0)
        needed = np.minimum(needed, int(sizes @ most))
    cost = np.full(int(needed[-1]) + 1, np.inf)
    cost[0] = 0.0
    taken: list[tuple[int, int, npt.NDArray[np.uint8]]] = []
    for place in np.flatnonzero(sizes > 0):
        for copies in _powers(int(most[place])):
            step = int(sizes[place]) * copies
            dearer = _after(cost, step) + offer.per_s[place] * copies
            better = dearer < cost
            taken.append((int(place), copies, np.packbits(better)))
            cost = np.where(better, dearer, cost)
    counts = _backtracked(taken, sizes, needed, len(offer.per_s))
    short = counts @ offer.capacity_rps < wanted
    counts[short] = offer.most
    return _trimmed(counts, offer, wanted)


def _powers(most: int) -> list[int]:
    """Return numbers of which sums make every number up to `most`, and none above it."""
    found, copies = [], 1
    while most > 0:
        found.append(min(copies, most))
        most -= found[-1]
        copies *= 2
    return found


def _after(cost: Samples, step: int) -> Samples:
    """What the rest costs beside machines of so many units."""
    if step >= len(cost):
        return np.full(len(cost), cost[0])
    return np.concatenate([np.full(step, cost[0]), cost[: len(cost) - step]])


def _backtracked(
    taken: Sequence[tuple[int, int, npt.NDArray[np.uint8]]],
    sizes: Indices,
    needed: Indices,
    types: int,
) -> Indices:
    """Follow the choices back from each load, all at once."""
    counts = np.zeros((len(needed), types), dtype=np.int64)
    left = needed.copy()
    for place, copies, packed in reversed(taken):
        here = (packed[left // 8] >> (7 - left % 8)).astype(np.int64) & 1
        counts[:, place] += here * copies
        left = np.maximum(left - here * copies * int(sizes[place]), 0)
    return counts


def _trimmed(counts: Indices, offer: _Offer, wanted: Samples) -> Indices:
    """Take away machines that rounding made seem needed, dear ones first."""
    for place in np.argsort(-offer.per_s):
        spare = np.floor((counts @ offer.capacity_rps - wanted) / offer.capacity_rps[place])
        counts[:, place] -= np.clip(spare, 0, counts[:, place]).astype(np.int64)
    return counts


def _ascending(counts: Indices, capacity_rps: Samples, per_s: Samples) -> Mixes:
    """Order by what the machines take, and leave out what costs no less than the next."""
    loads_rps, price = counts @ capacity_rps, counts @ per_s
    # From the end, of the same load the cheapest comes first.
    order = np.lexsort((-price, loads_rps))
    best, kept = np.inf, []
    for place in order[::-1]:
        if price[place] < best:
            kept.append(place)
            best = price[place]
    places = np.array(kept[::-1], dtype=np.int64)
    return Mixes(loads_rps[places], counts[places], price[places])
