"""What is asked of a record: is the load in the table, are arrivals and latencies as promised?

Each question becomes a series of blocks whose means are at most one as long as the promise holds,
for `autotune.stats.betting`:

- load: arrivals in a stretch of time over those at the table's highest load;
- bursts: for neighbouring windows with counts n and m, (n - m)^2 / (n + m), of which the mean is
  the arrivals' index of dispersion, 1 for Poisson (Cox and Lewis 1966, "The statistical analysis
  of series of events"), over the promised one;
- latency: the share of a block's requests beyond a promised percentile, over the share allowed.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.config_file import TunedFile
from autotune.drift.blocks import MOST_BLOCKS, Blocks
from autotune.drift.promised import FASTER_AT, QUANTILES, Bounds, lower_ms, upper_ms
from autotune.drift.records import ChangeKind
from autotune.observed import Observed
from autotune.outcome import Flags, Samples
from autotune.patterns import Bursty, Constant, Pattern, Poisson

SLACK_ERRORS = 2.0
"""Standard errors of a block's load, by which it may exceed an entry's and still count as its."""
BURST_TOLERANCE = 0.5
"""Share by which the index of dispersion may exceed the promised one: nobody's users are exactly
Poisson, and a queue feels less than that little."""
CONSTANT = 0.25
"""Index of dispersion that passes for a clock's."""
WINDOW_S, WINDOW_REQUESTS = 0.5, 20.0
"""Windows in which arrivals are counted for bursts, at least."""
STRETCH_S, STRETCH_REQUESTS = 1.0, 30.0
"""Stretches in which they are counted for the load, at least: less is a burst."""
PAIRS = 5
"""Of windows in a block of them."""
CYCLES = 10.0
"""Bursts, or spells, whose mean load is near the whole's."""
BLOCK_CYCLES = 3.0
"""That a block of requests holds, at least."""


class Question(NamedTuple):
    """One question. All arrays are of shape (blocks,)."""

    kind: ChangeKind
    place: int | None
    """Of the policy's entry; None: about arrivals as a whole."""
    quantile: float | None
    """None: about none."""
    ratios: Samples
    """Seen over allowed."""
    blocks: npt.NDArray[np.intp] | None
    """Which of the record's blocks these are; None: others, of time."""
    begun_s: Samples
    ended_s: Samples
    unit: float = 1.0
    """What is allowed over what was promised."""


class Assigned(NamedTuple):
    """Which blocks are held against which entry of the policy."""

    places: npt.NDArray[np.intp]
    judged: Flags
    """False: above the table, or just after."""


def assign(tuned: TunedFile, blocks: Blocks, scale: float) -> Assigned:
    """Return the entry of each block's load; `scale`: of a load in the policy over the mean.

    Blocks of a load at the table's end are held against it even where chance made theirs a little
    higher: to leave these out would leave out the longest queues.
    """
    loads = np.array([one.load_rps for one in tuned.policy])
    error = SLACK_ERRORS / np.sqrt(blocks.size)
    seen_rps = blocks.load_rps * scale
    places = np.searchsorted(loads, seen_rps / (1 + error))
    within = seen_rps <= loads[-1] * (1 + error)
    calm = np.concatenate([[True], within[:-1]])
    return Assigned(np.minimum(places, len(loads) - 1), (within & calm)[: len(seen_rps)])


def latency_questions(
    tuned: TunedFile, blocks: Blocks, found: Bounds, assigned: Assigned, scale: float
) -> list[Question]:
    """Return the questions about latencies at each load that was seen."""
    asked = []
    for place, entry in enumerate(tuned.policy):
        mine = np.flatnonzero(assigned.judged & (assigned.places == place))
        if not len(mine):
            continue
        latency_ms = blocks.latency_ms[mine]
        top_rps = np.minimum(blocks.highest_rps[mine] * scale, tuned.policy[-1].load_rps)
        for number, quantile in enumerate(QUANTILES):
            limit_ms = upper_ms(tuned, found, number, top_rps)
            over = np.mean(latency_ms > limit_ms[:, None], axis=1) / (1 - quantile)
            asked.append(
                _question("slower", place, quantile, over, mine[~np.isnan(limit_ms)], mine)
            )
        least_ms = lower_ms(tuned, found, place, blocks.lowest_rps[mine] * scale)
        under = np.mean(latency_ms <= least_ms[:, None], axis=1) / FASTER_AT
        asked.append(_question("faster", place, FASTER_AT, under, mine[~np.isnan(least_ms)], mine))
        if entry.meets_slo:
            slo = tuned.slo
            over = np.mean(latency_ms > slo.latency_ms, axis=1) / (1 - slo.quantile)
            asked.append(_question("slo_missed", place, slo.quantile, over, mine, mine))
    return [
        one._replace(begun_s=blocks.begun_s[one.blocks], ended_s=blocks.ended_s[one.blocks])
        for one in asked
        if one.blocks is not None and len(one.blocks)
    ]


def _question(
    kind: ChangeKind,
    place: int,
    quantile: float,
    ratios: Samples,
    kept: npt.NDArray[np.intp],
    of: npt.NDArray[np.intp],
) -> Question:
    nothing = np.empty(0)
    return Question(kind, place, quantile, ratios[np.isin(of, kept)], kept, nothing, nothing)


def load_question(
    found: Observed, top_rps: float, tolerance: float, cycle_s: float, scale: float
) -> Question | None:
    """Return the question whether the load stays within the table; None: too short a record."""
    seconds = float(found.arrived_s[-1] - found.arrived_s[0])
    least_s = STRETCH_REQUESTS * scale / top_rps
    width_s = max(least_s, STRETCH_S, CYCLES * cycle_s, seconds / MOST_BLOCKS)
    edges_s = _edges(found, width_s)
    if len(edges_s) < 2:
        return None
    counts, _ = np.histogram(found.arrived_s, edges_s)
    unit = 1 + tolerance
    ratios = counts * scale / width_s / (top_rps * unit)
    return Question("above_the_table", None, None, ratios, None, edges_s[:-1], edges_s[1:], unit)


def burst_question(found: Observed, pattern: Pattern, scale: float) -> Question | None:
    """Return the question whether arrivals come in bursts that nobody measured.

    None: the record is too short, or the file does not say how they came when it was measured.
    """
    if not isinstance(pattern, Poisson | Constant | Bursty):
        return None
    seconds = float(found.arrived_s[-1] - found.arrived_s[0])
    mean_rps = len(found.arrived_s) / seconds
    width_s = max(WINDOW_S, WINDOW_REQUESTS / mean_rps, seconds / (2 * PAIRS * MOST_BLOCKS))
    edges_s = _edges(found, width_s)
    counts, _ = np.histogram(found.arrived_s, edges_s) if len(edges_s) > 2 else (np.empty(0), 0)
    pairs = counts[: len(counts) // 2 * 2].reshape(-1, 2).astype(np.float64)
    busy = np.flatnonzero(pairs.sum(axis=1) > 0)
    blocks = len(busy) // PAIRS
    if not blocks:
        return None
    kept = busy[len(busy) - blocks * PAIRS :].reshape(blocks, PAIRS)
    total = pairs[kept].sum(axis=2)
    seen = np.mean(np.diff(pairs[kept], axis=2)[:, :, 0] ** 2 / total, axis=1)
    allowed = dispersion(pattern, total.mean(axis=1) / (2 * width_s) * scale, width_s)
    unit = 1 + BURST_TOLERANCE
    begun_s, ended_s = edges_s[2 * kept[:, 0]], edges_s[2 * kept[:, -1] + 2]
    return Question("burstier", None, None, seen / (allowed * unit), None, begun_s, ended_s, unit)


def dispersion(pattern: Pattern, load_rps: Samples, window_s: float) -> Samples:
    """Return the promised mean of (n - m)^2 / (n + m) for neighbouring windows.

    With the index of dispersion I(t) of counts, Var(n - m) = 4 Var(n) - Var(n + m), so it is
    2 I(w) - I(2 w).
    """
    if isinstance(pattern, Bursty):
        return np.array(
            [
                2 * pattern.dispersion(one, window_s) - pattern.dispersion(one, 2 * window_s)
                for one in load_rps
            ]
        )
    return np.full(len(load_rps), CONSTANT if isinstance(pattern, Constant) else 1.0)


def _edges(found: Observed, width_s: float) -> Samples:
    """Bounds of whole windows, the last at the end of the record."""
    first_s, last_s = float(found.arrived_s[0]), float(found.arrived_s[-1])
    count = int((last_s - first_s) / width_s)
    return np.asarray(last_s - width_s * np.arange(count, -1, -1, dtype=np.float64))
