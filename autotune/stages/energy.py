"""What the machine draws, and what a request costs in energy: measured where that can be read.

Elsewhere a model: as many watts as the machine draws at rest, and so many more for each core that
works. Its numbers are the averages over AWS's processors of Cloud Carbon Footprint, "Methodology",
"Compute" (after Etsy's "Cloud Jewels", from SPECpower results): 0.74 W for a vCPU at rest and 3.5 W
for a busy one, power in between being linear in utilization.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import structs

from autotune.outcome import Measured
from autotune.probes.disturbance import between, read_counters
from autotune.probes.energy import joules_between, read_energy
from autotune.service import Power, TradeOff
from autotune.spec import ServingConfig
from autotune.stages.context import Context
from autotune.stages.events import Doing, Observer, Said
from autotune.stages.question import Question
from autotune.stats.summary import summarize

VCPU_IDLE_WATTS, VCPU_BUSY_WATTS = 0.74, 3.5
MODEL = "Cloud Carbon Footprint's averages for a vCPU"
QUIET_S, BUSY_S = 1.0, 0.5
"""For so long the machine's draw is read at rest, and while one thread works."""
OTHERS_CORES = 0.1
"""Others who use more than that make the machine one that is not at rest."""
LEAST_CPU_S = 1.0
"""Of work in measurements, from which a busy core is known better than from `BUSY_S`."""
LEAST_JOULES = 1e-9
"""Counters that did not move say less than this."""
_WORK = bytes(1 << 20)


class _Read(NamedTuple):
    """What the meters said over some time."""

    watts: float
    cores: float
    """That this process kept busy."""
    others_cores: float


def power_before(context: Context, cores: int) -> Power:
    """Return what the machine draws, as known before the search; the same where it goes on."""
    question, observe = context.question, context.observe
    power = context.bench.settle("power", Power, lambda: _power(question, cores, observe))
    if question.objective == "energy":
        if question.on_gpu and power.is_model:
            text = "the energy of GPUs cannot be read: only CPU time is reckoned with"
            observe(Said(text=text, warning=True))
        observe(Said(text=f"energy: {power.describe()}"))
    return power


def _power(question: Question, cores: int, observe: Observer) -> Power:
    given = question.watts
    idle_watts = VCPU_IDLE_WATTS * cores if given.idle is None else given.idle
    busy_watts = VCPU_BUSY_WATTS - VCPU_IDLE_WATTS if given.core is None else given.core
    model = Power(is_model=True, source=MODEL, idle_watts=idle_watts, busy_core_watts=busy_watts)
    if given.idle is not None or given.core is not None:
        rest = "" if None not in (given.idle, given.core) else f", the rest {MODEL}"
        return structs.replace(model, source=f"as given{rest}")
    meters = read_energy(question.on_gpu, question.allowed.gpus)
    if meters.state != "read":
        return model
    observe(Doing(what="reading what the machine draws", seconds=QUIET_S + BUSY_S))
    at_rest, at_work = _read(question, _rest), _read(question, _work)
    if at_rest is None or at_work is None:
        return model
    source = f"read of {meters.described}"
    if at_rest.others_cores > OTHERS_CORES:
        source += f"; not quite idle: others used {at_rest.others_cores:.1f} cores"
        observe(Said(text=f"idle power is {source}", warning=True))
    added_watts = max(0.0, at_work.watts - at_rest.watts)
    return Power(
        is_model=False,
        source=source,
        idle_watts=at_rest.watts,
        busy_core_watts=added_watts / max(0.1, at_work.cores),
    )


def _read(question: Question, doing: Callable[[], None]) -> _Read | None:
    """None: the counters began anew, or can no longer be read."""
    energy, counters = read_energy(question.on_gpu, question.allowed.gpus), read_counters()
    started_s, spent_s = time.monotonic(), time.process_time()
    doing()
    seconds = time.monotonic() - started_s
    used_s = time.process_time() - spent_s
    joules = joules_between(energy, read_energy(question.on_gpu, question.allowed.gpus))
    if joules is None:
        return None
    others_cores = between(counters, read_counters()).other_cpu_share
    return _Read(joules / seconds, used_s / seconds, others_cores or 0.0)


def _rest() -> None:
    time.sleep(QUIET_S)


def _work() -> None:
    until_s = time.monotonic() + BUSY_S
    while time.monotonic() < until_s:
        hashlib.sha256(_WORK).digest()


def power_after(power: Power, runs: Sequence[Measured]) -> Power:
    """Return the same with what a busy core adds as measurements show, where these were read.

    Over all of them, the energy beyond that of rest by the CPU seconds: requests work a core less,
    or more, than what was tried before the search.
    """
    read = [run for run in runs if run.joules is not None]
    spent_s = sum(run.cpu_s for run in read)
    if power.is_model or spent_s < LEAST_CPU_S:
        return power
    # Energy and CPU time of a run are cut to what comes after its lead-in; its duration is not.
    seconds = sum(run.duration_s - (run.scheduled_s[0] if run.served else 0.0) for run in read)
    beyond = sum(run.joules or 0.0 for run in read) - power.idle_watts * seconds
    return structs.replace(power, busy_core_watts=float(max(0.0, beyond / spent_s)))


def trade_offs(
    context: Context,
    power: Power,
    rates_rps: dict[float, float],
    cores_of: Callable[[ServingConfig], int],
) -> list[TradeOff]:
    """Return the measured configurations that no other beats in latency, energy and cores at once.

    All measurements of a configuration at a load count, pooled; one that failed or whose queue
    diverged is out.

    Args:
        context: of the search.
        power: what the machine draws.
        rates_rps: requests/s that really arrive, in the mean, by load.
        cores_of: cores that a configuration may use at once.
    """
    found: list[TradeOff] = []
    for load_rps, rps in rates_rps.items():
        here: dict[ServingConfig, bool] = {}
        for trial in context.journal.trials:
            if trial.load_rps == load_rps:
                here[trial.config] = here.get(trial.config, True) and trial.measured is not None
        points = [
            point
            for config, measured in here.items()
            if measured
            and (point := _point(context, power, (load_rps, rps), (config, cores_of(config))))
        ]
        front = [one for one in points if not any(_beats(other, one) for other in points)]
        found += sorted(front, key=lambda one: (one.latency_ms, one.joules_per_request))
    return found


def _point(
    context: Context, power: Power, load: tuple[float, float], used: tuple[ServingConfig, int]
) -> TradeOff | None:
    (load_rps, rps), (config, cores) = load, used
    seen = summarize(context.journal.runs_at(load_rps, config), context.question.slo)
    latency_ms = seen.objective.value_ms
    if seen.diverged or not latency_ms:
        return None
    joules = power.joules_per_request(rps, seen.cpu_s_per_request, seen.joules_per_request)
    return TradeOff(
        load_rps=load_rps,
        config=config,
        latency_ms=latency_ms,
        joules_per_request=max(LEAST_JOULES, joules),
        core_s_per_request=cores / rps,
        meets_slo=seen.meets_slo,
    )


def _beats(one: TradeOff, other: TradeOff) -> bool:
    mine = (one.latency_ms, one.joules_per_request, one.core_s_per_request)
    theirs = (other.latency_ms, other.joules_per_request, other.core_s_per_request)
    return mine != theirs and all(m <= t for m, t in zip(mine, theirs, strict=True))
