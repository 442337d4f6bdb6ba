"""Tuned files and comparisons as flat rows: what CSV files, JSON lists and data frames are made of.

Each table has its columns, in order, with their types. Names bear units; shares are shares of 1.
None: not known, or not measured.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from autotune.comparison.records import ADDED, Answer, Comparison, Difference, LoadCompared
from autotune.config_file import PolicyEntry, TunedFile
from autotune.records import Percentile, Summary
from autotune.spec import RUNTIME_DEFAULT, ServingConfig
from autotune.stages.sentence import meeting_from_below
from autotune.tabular import Columns, Row, complete

CONFIG: Columns = {
    "configuration": str,
    "replicas": int,
    "intra_op_threads": int,
    "inter_op_threads": int,
    "execution_mode": str,
    "spinning": bool,
    "max_batch_size": int,
    "batch_timeout_ms": float,
    "replicas_as": str,
    "form": str,
    "provider": str,
    "devices": int,
    "overlap": bool,
    "cuda_graphs": bool,
}
_PERCENTILES = ("p50", "p95", "p99", "objective")
SUMMARY: Columns = {
    "requests": int,
    "lost": int,
    **{f"{name}{end}_ms": float for name in _PERCENTILES for end in ("", "_low", "_high")},
    "largest_ms": float,
    "slo_attainment": float,
    "slo_verdict": str,
    "meets_slo": bool,
    "cpu_ms_per_request": float,
    "joules_per_request": float,
    "mean_batch_size": float,
    "issue_lateness_ms": float,
    "queueing_ms": float,
    "batch_wait_ms": float,
    "service_ms": float,
    "peak_memory_mib": float,
    "diverged": bool,
    "disturbed": str,
}
"""`objective`: the percentile that the SLO names; `_low` and `_high`: its 95 % interval."""
GAIN: Columns = {
    "gain_percentile": float,
    "gain_latency_ratio": float,
    "gain_latency_low": float,
    "gain_latency_high": float,
    "gain_latency_differs": bool,
    "gain_cpu_ratio": float,
    "gain_proven": bool,
    "gain_reason": str,
}
"""Of the chosen configuration over the default."""
POLICY: Columns = {
    "load_rps": float,
    "side": str,
    **CONFIG,
    "slo_ms": float,
    "slo_percentile": float,
    "evidence": str,
    "predicted_ms": float,
    **SUMMARY,
    **GAIN,
}
TRIALS: Columns = {
    "trial": int,
    "phase": str,
    "load_rps": float,
    **CONFIG,
    "slo_ms": float,
    "slo_percentile": float,
    "at_s": float,
    "seconds": float,
    "predicted_ms": float,
    **SUMMARY,
    "failure": str,
    "failure_detail": str,
}
ALL_TRIALS: Columns = {"file": str, **TRIALS}
FRONT: Columns = {
    "load_rps": float,
    "cores": int,
    **CONFIG,
    "cpu_ms_per_request": float,
    "requests": int,
}
TRADE_OFFS: Columns = {
    "load_rps": float,
    **CONFIG,
    "latency_ms": float,
    "joules_per_request": float,
    "core_s_per_request": float,
    "meets_slo": bool,
    "power_is_model": bool,
}
FILES: Columns = {
    "file": str,
    "model": str,
    "model_sha256": str,
    "slo_ms": float,
    "slo_percentile": float,
    "arrivals": str,
    "objective": str,
    "status": str,
    **CONFIG,
    "up_to_rps": float,
    "p99_ms": float,
    "default_p99_ms": float,
    "cpu": str,
    "cores_usable": int,
    "memory_gib": float,
    "runtime": str,
    "autotune": str,
    "started_at": datetime,
    "seconds": float,
    "trials": int,
}
"""`configuration` is the recommended one, `up_to_rps` the load up to which it meets the SLO.
`started_at`: ISO 8601."""
COMPARISON: Columns = {
    "load_rps": float,
    "of": str,
    "a_configuration": str,
    "b_configuration": str,
    "quantity": str,
    "a": float,
    "b": float,
    "basis": str,
    "change_is": str,
    "change": float,
    "low": float,
    "high": float,
    "chance": float,
    "verdict": str,
    "reason": str,
}
"""`of`: the answers, the runtime's default, or one execution."""


def policy_rows(tuned: TunedFile) -> list[Row]:
    """Return two rows a load, `chosen` and `default`; the latter only where it was measured."""
    found: list[Row] = []
    for entry in tuned.policy:
        chosen = _side(tuned, entry, "chosen", entry.config, entry.measured)
        if entry.measured is None:
            chosen["meets_slo"] = entry.meets_slo
        found.append({**chosen, "predicted_ms": entry.predicted_ms, **_gain(entry)})
        if entry.default is not None:
            found.append(_side(tuned, entry, "default", entry.config.default, entry.default))
    return complete(found, POLICY)


def trial_rows(tuned: TunedFile) -> list[Row]:
    """Return one row a measurement, in order."""
    return complete(
        (
            {
                "trial": number,
                "phase": trial.phase,
                "load_rps": trial.load_rps,
                **config_row(trial.config),
                **_slo(tuned),
                "at_s": trial.at_s,
                "seconds": trial.seconds,
                "predicted_ms": trial.predicted_ms,
                **summary_row(trial.measured),
                "failure": trial.failure.kind if trial.failure else None,
                "failure_detail": trial.failure.detail if trial.failure else None,
            }
            for number, trial in enumerate(tuned.trials, start=1)
        ),
        TRIALS,
    )


def front_rows(tuned: TunedFile) -> list[Row]:
    """Return one row a configuration that no other beats in load, cores and CPU time at once."""
    return complete(
        (
            {
                "load_rps": one.load_rps,
                "cores": one.cores,
                **config_row(one.config),
                "cpu_ms_per_request": 1e3 * one.cpu_s_per_request,
                "requests": one.requests,
            }
            for one in tuned.front
        ),
        FRONT,
    )


def trade_off_rows(tuned: TunedFile) -> list[Row]:
    """Return one row a load and configuration that nothing beats in latency, energy and cores."""
    return complete(
        (
            {
                "load_rps": one.load_rps,
                **config_row(one.config),
                "latency_ms": one.latency_ms,
                "joules_per_request": one.joules_per_request,
                "core_s_per_request": one.core_s_per_request,
                "meets_slo": one.meets_slo,
                "power_is_model": None if tuned.power is None else tuned.power.is_model,
            }
            for one in tuned.trade_offs
        ),
        TRADE_OFFS,
    )


def file_row(path: Path, tuned: TunedFile) -> Row:
    """Return what a file is of, and what it recommends."""
    meeting = meeting_from_below(tuned.policy)
    entry = meeting[-1] if meeting else tuned.policy[0]
    row: Row = {
        "file": str(path),
        "model": tuned.model.name,
        "model_sha256": tuned.model.sha256,
        **_slo(tuned),
        "arrivals": tuned.arrivals,
        "objective": tuned.search.objective,
        "status": tuned.status,
        **config_row(tuned.recommended),
        "up_to_rps": entry.load_rps if meeting else None,
        "p99_ms": entry.measured.p99.value_ms if entry.measured else None,
        "default_p99_ms": entry.default.p99.value_ms if entry.default else None,
        "cpu": tuned.machine.cpu,
        "cores_usable": tuned.machine.cores_usable,
        "memory_gib": tuned.machine.memory_gib,
        "runtime": tuned.runtime,
        "autotune": tuned.autotune,
        "started_at": tuned.search.started_at,
        "seconds": tuned.search.seconds,
        "trials": len(tuned.trials),
    }
    return complete([row], FILES)[0]


def all_trial_rows(files: Iterable[tuple[Path, TunedFile]]) -> list[Row]:
    """Return one row a measurement of each file, in order."""
    return complete(
        ({"file": str(path), **row} for path, tuned in files for row in trial_rows(tuned)),
        ALL_TRIALS,
    )


def comparison_rows(found: Comparison) -> list[Row]:
    """Return one row a load and quantity; a load without any has one without a quantity."""
    rows: list[Row] = []
    if found.execution is not None:
        rows.append({"of": "execution", **_difference(found.execution)})
    for load in found.loads:
        for of, differences in (("answer", load.differences), ("default", load.default)):
            rows += [{**_place(load, of), **_difference(one)} for one in differences]
        if not load.differences and not load.default:
            rows.append(_place(load, "answer"))
    return complete(rows, COMPARISON)


def _side(
    tuned: TunedFile, entry: PolicyEntry, side: str, config: ServingConfig, found: Summary | None
) -> Row:
    return {
        "load_rps": entry.load_rps,
        "side": side,
        **config_row(config),
        **_slo(tuned),
        "evidence": entry.evidence,
        **summary_row(found),
    }


def _slo(tuned: TunedFile) -> Row:
    return {"slo_ms": tuned.slo.latency_ms, "slo_percentile": tuned.slo.percentile}


def config_row(config: ServingConfig) -> Row:
    """Return the cells of `CONFIG`."""
    return {"configuration": config.describe(), **msgspec.structs.asdict(config)}


def summary_row(one: Summary | None) -> Row:
    """Return the cells of `SUMMARY`; of nothing, none."""
    if one is None:
        return {}
    fields = msgspec.structs.asdict(one)
    row: Row = {name: fields[name] for name in SUMMARY if name in fields}
    for name in _PERCENTILES:
        row |= percentile_row(name, fields[name])
    cpu_ms = 1e3 * one.cpu_s_per_request
    return {**row, "cpu_ms_per_request": cpu_ms, "disturbed": "; ".join(one.disturbed)}


def percentile_row(name: str, one: Percentile) -> Row:
    """Return the cells of one percentile."""
    return {
        f"{name}_ms": one.value_ms,
        f"{name}_low_ms": one.low_ms,
        f"{name}_high_ms": one.high_ms,
    }


def _gain(entry: PolicyEntry) -> Row:
    gain = entry.gain
    if gain is None:
        return {}
    return {
        "gain_percentile": gain.percentile,
        "gain_latency_ratio": gain.latency_ratio,
        "gain_latency_low": gain.low,
        "gain_latency_high": gain.high,
        "gain_latency_differs": gain.latency_differs,
        "gain_cpu_ratio": gain.cpu_ratio,
        "gain_proven": gain.proven,
        "gain_reason": gain.reason,
    }


def _place(load: LoadCompared, of: str) -> Row:
    return {
        "load_rps": load.load_rps,
        "of": of,
        "a_configuration": _configuration(load.a, of),
        "b_configuration": _configuration(load.b, of),
    }


def _configuration(answer: Answer | None, of: str) -> str | None:
    if answer is None:
        return RUNTIME_DEFAULT.describe() if of == "default" else None
    return (answer.config.default if of == "default" else answer.config).describe()


def _difference(one: Difference) -> Row:
    fields: Row = msgspec.structs.asdict(one)
    return {**fields, "change_is": "b - a" if one.quantity in ADDED else "b / a"}
