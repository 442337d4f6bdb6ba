"""One run through a server: driven open-loop, watched as a run of the engine is, and measured."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from msgspec import structs

from autotune.outcome import Disturbance, Samples, TrialOutcome
from autotune.probes.disturbance import between, read_counters
from autotune.probes.energy import joules_between, read_energy
from autotune.probes.memory import peaks_bytes
from autotune.probes.threads import process_cpu_s
from autotune.records import Failed
from autotune.request_log import RequestLog, new_log
from autotune.servers.drive import LEAST_SENDERS, MOST_SENDERS, Driven, Target, Watched, drive, told
from autotune.spec import Slo, TrialSpec
from autotune.stats.judge import Decides
from autotune.trial import wire
from autotune.trial.watch import Watch

SENDERS_PER_SLO = 3.0
"""Connections: enough for the requests that arrive within so many SLOs."""


class Serving(NamedTuple):
    """A server that stands with one configuration."""

    target: Target
    pids: Callable[[], list[int]] | None
    """Its processes; None: not known, but they run on this machine."""
    last_lines: Callable[[], str]
    """The end of what it printed."""
    close: Callable[[], None]
    """Ends it, if it was started here."""


class Ran(NamedTuple):
    """What came of a run."""

    outcome: TrialOutcome
    drained: bool
    """Whether every request that was sent had its answer, so that the next run begins anew."""


def run_through(serving: Serving, trial: TrialSpec, slo: Slo, judge: Decides | None) -> Ran:
    """Drive the schedule of a trial, until it ends or the judge has seen enough.

    Of a server it cannot be seen when it took a request. What is told as waiting for a replica is
    all that a request waited that was sent while others were under way; of one sent alone it is
    told as the wait for company. The execution, where answers tell how long it took, is the end.
    CPU time and memory are those of the server's processes; without these, the CPU time is what
    this machine spent beside the client.
    """
    scheduled_s = np.array(trial.arrivals_s)
    log = new_log(len(scheduled_s))
    watch = Watch(trial, log, judge)
    senders = senders_for(scheduled_s, slo)
    pids = [] if serving.pids is None else serving.pids()
    energy, cpu_before_s, before = read_energy(), _cpu_s(pids), read_counters()
    driven = drive(serving.target, scheduled_s, senders, Watched(log, watch))
    duration_s = log.elapsed_s
    disturbance, cpu_after_s = between(before, read_counters()), _cpu_s(pids)
    if not np.isfinite(driven.finished_s).any():
        why = driven.errors[0] if driven.errors else "no request was answered in time"
        detail = f"{why}; its last lines: {serving.last_lines()}"
        return Ran(Failed(kind="run_error", detail=detail), drained=False)
    cpu_s = sum(spent_s - cpu_before_s.get(pid, 0.0) for pid, spent_s in cpu_after_s.items())
    if serving.pids is None:
        cpu_s = (disturbance.other_cpu_share or 0.0) * disturbance.seconds
    note_executions(log, driven)
    served = wire.Served(
        duration_s=duration_s,
        cpu_s=cpu_s,
        joules=joules_between(energy, read_energy()),
        peak_memory_bytes=peaks_bytes(pids),
        disturbance=_without(disturbance, cpu_s),
    )
    unanswered = np.isfinite(driven.sent_s) & np.isinf(driven.finished_s)
    return Ran(watch.measured(served), drained=not unanswered.any())


def senders_for(scheduled_s: Samples, slo: Slo) -> int:
    """Return how many connections hold all requests that may be under way."""
    ends_s = scheduled_s + SENDERS_PER_SLO * slo.latency_ms / 1e3
    most = np.searchsorted(scheduled_s, ends_s) - np.arange(len(scheduled_s))
    return int(np.clip(most.max(), LEAST_SENDERS, MOST_SENDERS))


def note_executions(log: RequestLog, driven: Driven) -> None:
    """Write into the log what answers told of the batch that a request was part of."""
    inference_s = told(driven.parameters, "inference_ms") / 1e3
    fresh = log.ready_s <= driven.scheduled_s
    begun_s = np.fmax(log.claimed_s, log.finished_s - inference_s)
    log.started_s[:] = np.where(np.isnan(inference_s), log.claimed_s, begun_s)
    log.ready_s[:] = np.where(fresh, driven.scheduled_s, log.started_s)
    log.claimed_s[:] = np.where(fresh, log.claimed_s, log.started_s)
    log.batch_size[:] = np.nan_to_num(told(driven.parameters, "batch_size"), nan=1.0)


def _cpu_s(pids: Sequence[int]) -> dict[int, float]:
    found = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            found[pid] = process_cpu_s(pid)
    return found


def _without(disturbance: Disturbance, cpu_s: float) -> Disturbance:
    """Return what others did to a run, beside the server whose CPU time this is."""
    if disturbance.other_cpu_share is None:
        return disturbance
    others = max(0.0, disturbance.other_cpu_share - cpu_s / disturbance.seconds)
    return structs.replace(disturbance, other_cpu_share=others)
