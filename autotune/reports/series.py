"""A tuned file as rows of plain values, one list a picture."""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from autotune.config_file import PolicyEntry, Trial, TunedFile
from autotune.records import Percentile, Summary
from autotune.spec import ServingConfig
from autotune.units import format_rps

Row = dict[str, Any]

TUNED, DEFAULT = "tuned", "runtime default"
PARTS = {
    "queueing": "queueing_ms",
    "batch wait": "batch_wait_ms",
    "service": "service_ms",
    "issue lateness": "issue_lateness_ms",
}
KNOBS = {
    "replicas": "replicas",
    "intra_op_threads": "intra-op threads",
    "inter_op_threads": "inter-op threads",
    "execution_mode": "execution mode",
    "spinning": "spinning",
    "max_batch_size": "max batch size",
    "batch_timeout_ms": "batch timeout, ms",
    "replicas_as": "replicas as",
    "form": "form",
    "provider": "provider",
    "devices": "GPUs",
    "overlap": "overlapped copies",
    "cuda_graphs": "CUDA graphs",
}


def sides(entry: PolicyEntry) -> list[tuple[str, ServingConfig, Summary]]:
    """Return what was measured at a load: the chosen configuration and, beside it, the default."""
    found = []
    if entry.measured is not None:
        found.append((TUNED, entry.config, entry.measured))
    if entry.default is not None:
        found.append((DEFAULT, entry.config.default, entry.default))
    return found


def latency_rows(tuned: TunedFile) -> list[Row]:
    """Return one row per load, side and percentile, in milliseconds with the interval's ends.

    `ms` is None where requests were lost to no end: the queue diverged, or the percentile is
    unbounded. Where an end of the interval is not known, the band ends at the value.
    """
    return [
        {
            "load_rps": entry.load_rps,
            "side": side,
            "percentile": name,
            "ms": None if summary.diverged else one.value_ms,
            "low_ms": one.value_ms if one.low_ms is None else one.low_ms,
            "high_ms": one.value_ms if one.high_ms is None else one.high_ms,
            "config": config.describe(),
            "attainment": summary.slo_attainment,
            "requests": summary.requests,
        }
        for entry in tuned.policy
        for side, config, summary in sides(entry)
        for name, one in _percentiles(tuned, summary)
    ]


def _percentiles(tuned: TunedFile, summary: Summary) -> Iterator[tuple[str, Percentile]]:
    yield from (("p50", summary.p50), ("p95", summary.p95), ("p99", summary.p99))
    if tuned.slo.percentile not in (50.0, 95.0, 99.0):
        yield f"p{tuned.slo.percentile:g}", summary.objective


def objective_name(tuned: TunedFile) -> str:
    """Return the SLO's percentile as rows name it, such as `p99`."""
    return f"p{tuned.slo.percentile:g}"


def curve_rows(tuned: TunedFile) -> list[Row]:
    """Return predicted latency over load, one row per load and configuration."""
    return [
        {
            "load_rps": load_rps,
            "ms": ms,
            "side": DEFAULT if curve.config.is_default else TUNED,
            "config": curve.config.describe(),
        }
        for curve in tuned.curves
        for load_rps, ms in zip(curve.loads_rps, curve.objective_ms, strict=True)
    ]


def knee_rps(tuned: TunedFile) -> float | None:
    """Return the highest load up to which the policy meets the SLO; None: it does at none."""
    knee = None
    for entry in tuned.policy:
        if not entry.meets_slo:
            break
        knee = entry.load_rps
    return knee


def distribution_rows(tuned: TunedFile, load_rps: float) -> list[Row]:
    """Return the finalists' latencies at a load: the share answered within so many milliseconds."""
    return [
        {"config": one.config.describe(), "share": share, "ms": ms}
        for one in tuned.finalists
        if one.load_rps == load_rps
        for share, ms in zip(one.shares, one.latency_ms, strict=True)
        if share < 1  # where one hundredth more would be, a scale of nines never ends
    ]


def part_rows(tuned: TunedFile) -> list[Row]:
    """Return mean milliseconds of each part of a latency, one row per load, side and part."""
    return [
        {
            "bar": f"{format_rps(entry.load_rps)}/s {'default' if side == DEFAULT else side}",
            "part": part,
            "order": order,
            "ms": getattr(summary, field) or 0.0,
            "config": config.describe(),
            "diverged": summary.diverged,
        }
        for entry in tuned.policy
        for side, config, summary in sides(entry)
        for order, (part, field) in enumerate(PARTS.items())
    ]


def point_rows(tuned: TunedFile) -> list[Row]:
    """Return the lattice, one row a point; `predicted`, `measured`, `region` are lists by load.

    `measured` is what its interleaved rounds say at each load, in milliseconds, or its measurements
    in the search where it had none; None: not measured, or lost.
    `region` is the measured point in whose region it lies, in words; None: in none.
    """
    lattice = tuned.lattice
    if lattice is None:
        return []
    columns = [getattr(lattice, name) for name in KNOBS]
    configs = [
        ServingConfig(**dict(zip(KNOBS, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]
    worth = [_worth(tuned, entry.load_rps, _latency_ms) for entry in tuned.policy]
    return [
        {name: _shown(getattr(config, name)) for name in KNOBS}
        | {
            "config": config.describe(),
            "predicted": [row[point] for row in lattice.predicted_ms],
            "measured": [known.get(config) for known in worth],
            "region": [
                configs[row[point]].describe() if row[point] >= 0 else None
                for row in lattice.region_of
            ],
        }
        for point, config in enumerate(configs)
    ]


def _shown(value: Any) -> Any:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def regret_rows(tuned: TunedFile) -> list[Row]:
    """Return by how much the best configuration known so far misses the best of all, over time.

    One row per load whenever the search measured something there, and one for what was chosen when
    its last interleaved round ended. A configuration is worth what its rounds say in the end, or
    its measurements in the search where it had none: so a lucky one earns nothing. Nothing is
    returned where cores were to be saved.
    """
    if tuned.search.objective == "cores":
        return []
    rows = []
    for entry in tuned.policy:
        value = _objective(tuned, entry.load_rps)
        load, worth = f"{format_rps(entry.load_rps)}/s", _worth(tuned, entry.load_rps, value)
        trials = [one for one in tuned.trials if one.load_rps == entry.load_rps]
        known: dict[ServingConfig, float] = {}
        steps = []
        for trial in trials:
            found = None if trial.measured is None else value(trial.measured)
            if found is not None and trial.phase == "search":
                known.setdefault(trial.config, found)
                steps.append((trial.at_s, min(known, key=lambda config: known[config])))
        if trials and trials[-1].phase == "confirm":
            steps.append((trials[-1].at_s, entry.config))
        best = min(worth.values(), default=0.0)
        for at_s, config in steps:
            if at_s is not None and config in worth and best > 0:
                percent = 100 * (worth[config] / best - 1)
                rows.append({"s": at_s, "load": load, "percent": percent})
    return rows


def _objective(tuned: TunedFile, load_rps: float) -> Callable[[Summary], float | None]:
    """Return what was to be small at a load; None: what misses the SLO is worth nothing."""
    power = tuned.power
    if tuned.search.objective == "cpu":
        return _cpu_s_within_slo
    if tuned.search.objective != "energy" or power is None:
        return _latency_ms

    def joules_within_slo(one: Summary) -> float | None:
        joules = power.joules_per_request(load_rps, one.cpu_s_per_request, one.joules_per_request)
        return joules if one.meets_slo else None

    return joules_within_slo


def _worth(
    tuned: TunedFile, load_rps: float, value: Callable[[Summary], float | None]
) -> dict[ServingConfig, float]:
    """What each configuration measured at a load is worth in the end."""
    known: dict[ServingConfig, list[float]] = {}
    for trial in tuned.trials:
        found = None if trial.measured is None else value(trial.measured)
        if trial.load_rps == load_rps and found is not None:
            known.setdefault(trial.config, []).append(found)
    worth = {config: median(values) for config, values in known.items()}
    for one in tuned.finalists:
        found = value(one.measured)
        if one.load_rps == load_rps and found is not None:
            worth[one.config] = found
    return worth


def _latency_ms(summary: Summary) -> float | None:
    return summary.objective.value_ms


def _cpu_s_within_slo(summary: Summary) -> float | None:
    return summary.cpu_s_per_request if summary.meets_slo else None


def trade_off_rows(tuned: TunedFile) -> list[Row]:
    """Return one row a load and configuration that nothing beats in latency, energy and cores."""
    return [
        {
            "load": f"{format_rps(one.load_rps)}/s",
            "ms": one.latency_ms,
            "joules": one.joules_per_request,
            "core_s": one.core_s_per_request,
            "slo": "met" if one.meets_slo else "missed",
            "config": one.config.describe(),
        }
        for one in tuned.trade_offs
    ]


def prediction_rows(tuned: TunedFile) -> list[Row]:
    """Return predicted and measured latency of each trial that has both."""
    return [
        {
            "load": f"{format_rps(trial.load_rps)}/s",
            "predicted_ms": trial.predicted_ms,
            "measured_ms": trial.measured.objective.value_ms,
            "config": trial.config.describe(),
            "phase": trial.phase,
        }
        for trial in tuned.trials
        if trial.measured is not None and trial.measured.objective.value_ms is not None
    ]


def policy_rows(tuned: TunedFile) -> list[Row]:
    """Return which configuration serves from which load to which."""
    starts = [0.0, *(entry.load_rps for entry in tuned.policy)]
    return [
        {
            "from_rps": start,
            "to_rps": entry.load_rps,
            "config": entry.config.describe(),
            "slo": "met" if entry.meets_slo else "missed",
            "evidence": entry.evidence,
        }
        for start, entry in zip(starts, tuned.policy, strict=False)
    ]


def result_of(trial: Trial) -> str:
    """Return what came of a trial, in a word."""
    if trial.measured is None:
        return trial.failure.kind.replace("_", " ") if trial.failure else "failed"
    if trial.measured.diverged:
        return "overload"
    return "within SLO" if trial.measured.meets_slo else "SLO missed"
