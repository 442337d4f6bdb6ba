"""Looks at a run under way and says when it has said enough."""

import math
from typing import Literal, NamedTuple, Protocol

import numpy as np

from autotune.outcome import Flags, Samples, Stopped
from autotune.spec import Slo
from autotune.stats.sequential import LEAD_IN, Verdict, decide, evidence

Decision = Stopped | Literal["go_on"]

MIN_JUDGED_S = 1.0
"""However clear it looks: the first requests of all may have met a machine that just woke up."""
MIN_STRETCH_S = 0.5
"""A stall of the machine heals within this time; a queue that outlasts it may grow."""
DIVERGED_DEVIATIONS = 4.0
"""How far below the load the service of a busy stretch must lie; looked at many times."""
STRETCH_SLOTS = 10
MIN_DISPERSION = 0.1
"""Variance of completions over their mean, at least: ten slots can look steadier than they are."""


class Glimpse(NamedTuple):
    """A run under way: arrays over the requests that have arrived, in order."""

    elapsed_s: float
    scheduled_s: Samples
    finished_s: Samples
    """NaN where not finished yet."""
    fresh: Flags
    """Which found a replica free; False where not taken yet."""


class Decides(Protocol):
    """Anything that can say whether a run may stop."""

    def decide(self, glimpse: Glimpse) -> Decision:
        """Return why the run may stop now, or `go_on`."""


class Judge(NamedTuple):
    """When to stop: the SLO is proven met, proven missed, or the queue grows without end."""

    slo: Slo
    load_rps: float
    """Arrivals per second in the long run."""
    confidence: float = 0.99
    may_pass_after_s: float = 0.0
    """Traffic that changes its mind must have been seen for this long before it may pass."""
    stop_when: frozenset[Decision] = frozenset({"passed", "failed", "diverged"})

    def decide(self, glimpse: Glimpse) -> Decision:
        """Return why the run may stop now, or `go_on`."""
        found: Decision = "diverged" if diverges(glimpse, self.load_rps, self.slo) else "go_on"
        if found == "go_on":
            found = self._verdict(glimpse)
        return found if found in self.stop_when else "go_on"

    def _verdict(self, glimpse: Glimpse) -> Decision:
        if glimpse.elapsed_s < MIN_JUDGED_S:
            return "go_on"
        verdict = verdict_so_far(glimpse, self.slo, self.confidence)
        if verdict == "pass" and glimpse.elapsed_s >= self.may_pass_after_s:
            return "passed"
        return "failed" if verdict == "fail" else "go_on"


def verdict_so_far(glimpse: Glimpse, slo: Slo, confidence: float) -> Verdict:
    """Judge the requests of which it is known by now whether they kept the SLO."""
    known = glimpse.scheduled_s <= glimpse.elapsed_s - slo.latency_ms / 1e3
    count = int(np.sum(known))
    lead_in = int(LEAD_IN * count)
    latencies_s = (glimpse.finished_s - glimpse.scheduled_s)[lead_in:count]
    overdue = np.where(np.isnan(latencies_s), math.inf, latencies_s)
    return decide(evidence(overdue, glimpse.fresh[lead_in:count], slo), slo, confidence)


def diverges(glimpse: Glimpse, load_rps: float, slo: Slo) -> bool:
    """Whether replicas that are never idle serve less than arrives in the long run.

    Where a request is overdue, all replicas have been busy since the last that found one free, so
    what they finished is all that they can do. A queue that merely had bad luck is served above
    the load even then. Completions per slot of time give the deviation of their number.
    """
    unfinished_s = glimpse.scheduled_s[np.isnan(glimpse.finished_s)]
    if not len(unfinished_s) or glimpse.elapsed_s - unfinished_s[0] <= slo.latency_ms / 1e3:
        return False
    started = np.flatnonzero(glimpse.fresh)
    since_s = float(glimpse.scheduled_s[started[-1]]) if len(started) else 0.0
    stretch_s = glimpse.elapsed_s - since_s
    if stretch_s < max(MIN_STRETCH_S, slo.latency_ms / 1e3):
        return False
    done_s = glimpse.finished_s[glimpse.finished_s > since_s]
    slots, _ = np.histogram(done_s, STRETCH_SLOTS, (since_s, glimpse.elapsed_s))
    served = float(slots.sum())
    dispersion = max(MIN_DISPERSION, float(np.var(slots, ddof=1)) / max(1.0, float(slots.mean())))
    deviation = math.sqrt(dispersion * max(1.0, served))
    return load_rps * stretch_s - served > DIVERGED_DEVIATIONS * deviation
