"""What was seen of a server, held against what was asked of it and what the file promised."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from autotune.exports.deployment import SELDOM, Exporter, Knob
from autotune.records import Percentile, SloVerdict, Summary
from autotune.servers.drive import Driven, told
from autotune.spec import RUNTIME_DEFAULT, Record, ServingConfig, Slo
from autotune.stats.percentiles import percentile_interval
from autotune.stats.sequential import decide_once, evidence
from autotune.stats.summary import CONFIDENCE, SLO_VERDICTS, as_record, mean_batch

Compared = Literal["equal", "different", "not compared"]
Effect = Literal["took effect", "did not", "not seen", "not carried"]
HOPELESS = 0.9
"""Below this share of what the SLO asks for it is missed, though a queue that never empties looks
like one single stroke of bad luck."""
LEAST_REQUESTS = 50


class KnobSeen(Record, frozen=True):
    """One knob of the configuration, as the running server has it."""

    knob: Knob
    asked: str
    seen: str
    """In words: what was counted, or why nothing could be."""
    effect: Effect


class LoadSeen(Record, frozen=True):
    """One load, driven at the server. Shares are of all offered requests."""

    load_rps: float
    requests: int
    unanswered: int
    p50: Percentile
    p95: Percentile
    p99: Percentile
    objective: Percentile
    slo_attainment: float
    slo_verdict: SloVerdict
    keeps_slo: bool
    """Whether the attainment reaches the SLO, proven or not."""
    promised: Summary | None
    """What the file holds of this configuration at this load."""
    inference_ms: float | None
    """Median execution time of the batch that a request was part of; None: not told."""
    overhead_ms: float | None
    """Median of the rest: queueing, waiting for company, and the server itself."""
    mean_batch_size: float | None
    sent_late_ms: float
    """99th percentile of what the client itself added by sending late; part of the latency."""
    errors: list[str]


class Verified(Record, frozen=True):
    """One server with one configuration."""

    server: str
    version: str | None
    config: ServingConfig
    ready_after_s: float | None
    processes: int | None
    threads: int | None
    """Of all processes of the server, counted while it served."""
    overhead_ms: float | None
    """Median of what the server adds to an execution with one request at a time."""
    answers: Compared
    """Outputs of the server against those of ONNX Runtime's default, alone."""
    difference: str | None
    """How they differ."""
    knobs: list[KnobSeen]
    loads: list[LoadSeen]
    slo: Slo


def exit_code(found: Sequence[Verified]) -> int:
    """Return 3 where something did not take effect, 1 where a kept SLO was promised, else 0."""
    if any(
        one.answers == "different" or any(knob.effect == "did not" for knob in one.knobs)
        for one in found
    ):
        return 3
    loads = [load for one in found for load in one.loads]
    broken = [
        load
        for load in loads
        if load.slo_verdict == "missed" and (load.promised is None or load.promised.meets_slo)
    ]
    return 1 if broken else 0


def look_at_load(driven: Driven, load_rps: float, slo: Slo, promised: Summary | None) -> LoadSeen:
    """Summarize a driven load."""
    latency_s = driven.latency_s
    answered = np.isfinite(latency_s)
    lost = int(np.sum(~answered))
    latency_ms, fresh = 1e3 * latency_s[answered], driven.unqueued[answered]

    def at(quantile: float) -> Percentile:
        return as_record(percentile_interval(latency_ms, lost, quantile, CONFIDENCE, fresh))

    attainment = float(np.mean(latency_s <= slo.latency_ms / 1e3))
    seen = evidence(latency_s, driven.unqueued & answered, slo)
    verdict = decide_once(seen, slo, CONFIDENCE)
    if attainment < HOPELESS * slo.quantile and len(latency_s) >= LEAST_REQUESTS:
        verdict = "fail"
    inference_ms = told(driven.parameters, "inference_ms")
    both = answered & np.isfinite(inference_ms)
    rest_ms = 1e3 * latency_s[both] - inference_ms[both]
    sizes = told(driven.parameters, "batch_size")
    sizes = sizes[np.isfinite(sizes)]
    late_ms = 1e3 * (driven.sent_s - driven.scheduled_s)
    return LoadSeen(
        load_rps=load_rps,
        requests=len(latency_s),
        unanswered=lost,
        p50=at(0.50),
        p95=at(0.95),
        p99=at(0.99),
        objective=at(slo.quantile),
        slo_attainment=attainment,
        keeps_slo=attainment >= slo.quantile,
        slo_verdict=SLO_VERDICTS[verdict],
        promised=promised,
        inference_ms=float(np.median(inference_ms[both])) if both.any() else None,
        overhead_ms=float(np.median(rest_ms)) if both.any() else None,
        mean_batch_size=mean_batch(sizes) if len(sizes) else None,
        sent_late_ms=float(np.percentile(late_ms, 99)),
        errors=driven.errors,
    )


def look_at_knobs(
    exporter: Exporter,
    config: ServingConfig,
    answers: Sequence[dict[str, Any]],
    default_threads: int,
    sees_processes: bool,
) -> list[KnobSeen]:
    """Say of each knob whether it took effect, from the parameters of many answers.

    Args:
        exporter: the server.
        config: what was asked of it.
        answers: parameters of answers under a burst, when every replica had work and batches
            could form.
        default_threads: intra-op threads that the runtime chooses here when nobody tells it.
        sees_processes: whether each replica is a process of its own.
    """
    looks: dict[Knob, tuple[str, Effect]] = {
        "replicas": _replicas(config, answers, sees_processes),
        "intra_op_threads": _threads(config, answers, default_threads),
        "max_batch_size": _batches(config, answers),
    }
    found = []
    for knob, carried in exporter.carried.items():
        if knob in SELDOM and getattr(config, knob) == getattr(RUNTIME_DEFAULT, knob):
            continue
        asked = f"{getattr(config, knob)}".lower()
        seen, effect = looks.get(knob, (carried.by, "not seen"))
        if carried.how == "no":
            effect = "not carried"
        found.append(KnobSeen(knob=knob, asked=asked, seen=seen, effect=effect))
    return found


def _replicas(
    config: ServingConfig, answers: Sequence[dict[str, Any]], sees_processes: bool
) -> tuple[str, Effect]:
    if sees_processes:
        found = len(_distinct(answers, "process"))
        what = f"{found} process{'es' if found != 1 else ''} answered"
    else:
        streams = _distinct(answers, "streams") or _distinct(answers, "replica")
        found = max((int(one) for one in streams), default=0)
        what = f"{found} run at once in one process"
    if not found:
        return "answers do not say who gave them", "not seen"
    return what, "took effect" if found == config.replicas else "did not"


def _threads(
    config: ServingConfig, answers: Sequence[dict[str, Any]], default_threads: int
) -> tuple[str, Effect]:
    if shared := [int(one) for one in _distinct(answers, "threads")]:
        # One pool for all replicas, whose size the runtime tells.
        wanted = config.replicas * config.intra_op_threads or default_threads
        words = f"{max(shared)} threads for all replicas together"
        return words, "took effect" if shared == [wanted] else "did not"
    counts = sorted(int(one) for one in _distinct(answers, "session_threads"))
    if not counts:
        return "answers do not say how many threads a session started", "not seen"
    expected = (config.intra_op_threads or default_threads) - 1
    if config.execution_mode == "parallel":
        expected += config.inter_op_threads - 1
    words = f"a session started {' or '.join(map(str, counts))} beside the caller's"
    return words, "took effect" if counts == [expected] else "did not"


def _batches(config: ServingConfig, answers: Sequence[dict[str, Any]]) -> tuple[str, Effect]:
    sizes = [int(one) for one in _distinct(answers, "batch_size")]
    if not sizes:
        return "answers do not say how large their batch was", "not seen"
    largest, limit = max(sizes), config.max_batch_size
    took = largest == 1 if limit == 1 else 1 < largest <= limit
    return f"the largest batch in a burst was {largest}", "took effect" if took else "did not"


def _distinct(answers: Iterable[dict[str, Any]], key: str) -> set[Any]:
    return {one[key] for one in answers if one.get(key) is not None}
