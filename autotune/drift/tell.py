"""A proven change in numbers and words: since when, and by how much."""

import math
from datetime import UTC, datetime

import numpy as np

from autotune.config_file import PolicyEntry, TunedFile
from autotune.drift.blocks import Blocks
from autotune.drift.promised import QUANTILES
from autotune.drift.questions import Question
from autotune.drift.records import Change
from autotune.observed import Observed
from autotune.outcome import Samples
from autotune.records import Percentile
from autotune.stats.betting import Risen
from autotune.stats.independent import Estimate, subtract
from autotune.stats.percentiles import Interval, percentile_interval
from autotune.units import format_duration, format_ms, format_percent, format_rps

FIRST_DATE_S = 1e8
"""Times of 1973 and later are dates; others count from any moment."""
FEWEST = 3
"""Blocks that say how much blocks vary."""
_Z = 1.959964


def told(
    tuned: TunedFile, observed: Observed, blocks: Blocks, asked: Question, found: Risen
) -> Change:
    """Return a change that was proven, with its time and size.

    The size is an estimate over the stretch on which the change was seen best, so it flatters the
    change a little.
    """
    place, start_s = asked.place, float(observed.arrived_s[0])
    since_s = float(asked.begun_s[found.first]) if found.first else start_s
    ended_s = float(asked.ended_s[found.last])
    goes_on = found.last == len(asked.ratios) - 1
    span = f"since {_moment(since_s, start_s)}"
    if not goes_on:
        span = f"from {_moment(since_s, start_s)} to {_moment(ended_s, start_s)}"
    stretch = slice(found.first, found.last + 1)
    size: Estimate | None = None
    if place is None or asked.blocks is None or asked.quantile is None:
        size, text = _of_arrivals(tuned, asked, stretch)
        after = None
    else:
        entry = tuned.policy[place]
        latency_ms = blocks.latency_ms[asked.blocks[stretch]].ravel()
        size, text = _of_latencies(tuned, entry, asked.kind, asked.quantile, latency_ms)
        after = blocks.size * max(1, found.alarm - found.first + 1)
    return Change(
        kind=asked.kind,
        load_rps=None if place is None else tuned.policy[place].load_rps,
        percentile=None if asked.quantile is None else round(100 * asked.quantile, 9),
        since_s=since_s,
        until_s=None if goes_on else ended_s,
        proven_s=float(asked.ended_s[found.alarm]),
        proven_after=after,
        factor=None if size is None else size.value,
        low=None if size is None else size.low,
        high=None if size is None else size.high,
        text=f"{text}, {span}",
    )


def _of_arrivals(tuned: TunedFile, asked: Question, stretch: slice) -> tuple[Estimate, str]:
    size = _mean(asked.ratios[stretch] * asked.unit)
    if asked.kind == "burstier":
        return size, (
            f"arrivals come in bursts: they vary {_times(size)} as much from one moment to the "
            f"next as when it was measured ({tuned.arrivals})"
        )
    top_rps = tuned.policy[-1].load_rps
    return size, (
        f"the load is {format_rps(size.value * top_rps)}/s, {_times(size)} the highest of the "
        f"table ({format_rps(top_rps)}/s)"
    )


def _of_latencies(
    tuned: TunedFile, entry: PolicyEntry, kind: str, quantile: float, latency_ms: Samples
) -> tuple[Estimate | None, str]:
    at = f"at {format_rps(entry.load_rps)}/s"
    if kind == "slo_missed":
        share = float(np.mean(latency_ms <= tuned.slo.latency_ms))
        return None, (
            f"{at} {format_percent(share)} % of requests are answered within "
            f"{tuned.slo.latency_ms:g} ms, where the SLO is {tuned.slo.percentile:g} %"
        )
    served_ms = latency_ms[np.isfinite(latency_ms)]
    seen = percentile_interval(served_ms, len(latency_ms) - len(served_ms), quantile)
    promised = _promised(entry, quantile)
    name = f"p{100 * quantile:g}"
    if promised is None or promised.value_ms is None or not math.isfinite(seen.value):
        return None, f"{at} so many requests are never answered that {name} is unbounded"
    size = _ratio(seen, promised)
    return size, (
        f"{at} latency is {_times(size)} what was measured, at {name} ({format_ms(seen.value)} ms "
        f"where it was {format_ms(promised.value_ms)} ms)"
    )


def _promised(entry: PolicyEntry, quantile: float) -> Percentile | None:
    one = entry.measured
    return None if one is None else (one.p50, one.p95, one.p99)[QUANTILES.index(quantile)]


def _ratio(seen: Interval, promised: Percentile) -> Estimate:
    logs = subtract(
        _logs(seen.value, seen.low, seen.high),
        _logs(promised.value_ms, promised.low_ms, promised.high_ms),
    )
    ends = [None if one is None else math.exp(one) for one in logs]
    return Estimate(math.exp(logs.value), ends[1], ends[2])


def _logs(*values: float | None) -> Estimate:
    middle, low, high = (math.log(one) if one else None for one in values)
    return Estimate(middle or 0.0, low, high)


def _mean(values: Samples) -> Estimate:
    mean = float(np.mean(values))
    if len(values) < FEWEST:
        return Estimate(mean, None, None)
    half = _Z * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, max(0.0, mean - half), mean + half)


def _times(size: Estimate) -> str:
    ends = ["?" if end is None else f"{end:.2f}" for end in size[1:]]
    return f"x{size.value:.2f} [{'-'.join(ends)}]"


def _moment(at_s: float, start_s: float) -> str:
    """A moment as a date, or by how far it is into the record."""
    if start_s >= FIRST_DATE_S:
        return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{format_duration(at_s - start_s)} into it" if at_s > start_s else "its beginning"
