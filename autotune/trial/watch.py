"""The parent's eye on a run under way: reads its log, stops it, and makes the outcome of it."""

import math

import numpy as np

from autotune.outcome import Measured
from autotune.probes.cores import usable_cores
from autotune.request_log import RequestLog
from autotune.spec import TrialSpec
from autotune.stats.disturbance import disturbed_because
from autotune.stats.judge import Decides, Decision, Glimpse
from autotune.trial import wire

HANG_S = 15.0
"""After the last request is lost for certain, what executes may still take so long."""
_FIRST_LOOK_S = 0.2
_GROWTH = 0.1
"""Looks are spaced by this share of the run so far: each costs CPU time on the machine under
test, and the next shows little that the last did not."""


class Watch:
    """One run. Called now and then while it goes on; afterwards `measured` tells what it was."""

    def __init__(self, trial: TrialSpec, log: RequestLog, judge: Decides | None) -> None:
        """Watch the run of `trial` that writes `log`; without a judge it runs to its end."""
        self._trial = trial
        self._scheduled_s = np.array(trial.arrivals_s)
        self._log = log
        self._judge = judge
        self.decision: Decision = "go_on"
        self._offered_until_s = math.inf

    def __call__(self) -> float | None:
        """Look once, stop the run where that is due, and return the seconds to the next look.

        None where the run should have ended long ago.
        """
        elapsed_s = self._log.elapsed_s
        if math.isnan(elapsed_s):
            return _FIRST_LOOK_S / 4
        last_s = min(self._scheduled_s[-1], self._offered_until_s)
        if elapsed_s > last_s + self._trial.grace_s + HANG_S:
            return None
        if elapsed_s > last_s + self._trial.grace_s:
            self._stop(elapsed_s, drain=False)
        elif self._judge is not None and self.decision == "go_on":
            self.decision = self._judge.decide(self._glimpse(elapsed_s))
            if self.decision != "go_on":
                self._stop(elapsed_s, drain=self.decision != "diverged")
        return max(_FIRST_LOOK_S, _GROWTH * elapsed_s)

    def measured(self, served: wire.Served) -> Measured:
        """Return the outcome of the run, which has ended."""
        # Of a session a prefix: replicas take requests in order and finish them.
        done = ~np.isnan(self._log.finished_s)
        offered = int(np.sum(self._scheduled_s <= self._offered_until_s))
        log = RequestLog(self._log.control, *(column[done] for column in self._log[1:]))
        return Measured(
            scheduled_s=self._scheduled_s[done],
            ready_s=log.ready_s,
            claimed_s=log.claimed_s,
            started_s=log.started_s,
            finished_s=log.finished_s,
            batch_size=log.batch_size,
            lost=max(0, offered - int(np.sum(done))),
            stopped="ended" if self.decision == "go_on" else self.decision,
            duration_s=served.duration_s,
            cpu_s=served.cpu_s,
            joules=served.joules,
            peak_memory_bytes=served.peak_memory_bytes,
            disturbance=served.disturbance,
            disturbed=disturbed_because(served.disturbance, usable_cores().usable),
            transfer=served.transfer,
        )

    def _stop(self, now_s: float, drain: bool) -> None:
        self._log.stop(now_s if drain else -math.inf)
        self._offered_until_s = min(self._offered_until_s, now_s)

    def _glimpse(self, elapsed_s: float) -> Glimpse:
        arrived = int(np.searchsorted(self._scheduled_s, elapsed_s, side="right"))
        scheduled_s = self._scheduled_s[:arrived]
        # Finished first: what is read later can only be newer.
        finished_s = self._log.finished_s[:arrived].copy()
        ready_s, started_s = self._log.ready_s[:arrived], self._log.started_s[:arrived]
        fresh = (ready_s <= scheduled_s) & (np.diff(started_s, prepend=-1.0) != 0)
        return Glimpse(elapsed_s, scheduled_s, finished_s, fresh & ~np.isnan(finished_s))
