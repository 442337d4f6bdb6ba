"""What the functions found as pandas data frames; columns as in `autotune.rows`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from autotune.diagnosis.finding import Finding
from autotune.drift.records import DriftReport
from autotune.exports.deployment import Deployment, Exporter
from autotune.frames import frame_of
from autotune.present.planned import AnyPlan, plan_rows
from autotune.records import Summary
from autotune.rows import CONFIG, SUMMARY, config_row, percentile_row, summary_row
from autotune.servers.seen import LoadSeen, Verified
from autotune.spec import Slo
from autotune.stages.gate import GateReport
from autotune.stages.measurement import Measurement, Side
from autotune.tabular import Columns, Row, complete

if TYPE_CHECKING:
    import pandas as pd

_ASKED: Columns = {"load_rps": float, "slo_ms": float, "slo_percentile": float}
MEASURED: Columns = {
    **_ASKED,
    **CONFIG,
    "answer": str,
    "confidence": float,
    "valid": bool,
    "invalid_because": str,
    "judged": int,
    "over": int,
    "independent": float,
    **SUMMARY,
    "served_rps": float,
    "idle_cores": float,
    "windows": int,
    "seconds": float,
}
"""`judged`: requests after the lead-in; `over`: of these, slower than the SLO or lost."""
GATE: Columns = {"of": str, **_ASKED, **CONFIG, **SUMMARY}
"""`of`: what stands in the file, what was measured now, or the runtime's default beside it."""
VERIFIED: Columns = {
    "server": str,
    **_ASKED,
    **CONFIG,
    "answers": str,
    "without_effect": str,
    "requests": int,
    "unanswered": int,
    **{
        f"{name}{end}_ms": float
        for name in ("p50", "p95", "p99", "objective")
        for end in ("", "_low", "_high")
    },
    "slo_attainment": float,
    "slo_verdict": str,
    "keeps_slo": bool,
    "promised_p50_ms": float,
    "promised_p99_ms": float,
    "promised_objective_ms": float,
    "promised_slo_attainment": float,
    "inference_ms": float,
    "overhead_ms": float,
    "mean_batch_size": float,
    "sent_late_ms": float,
}
"""`without_effect`: knobs that did not take effect, by name."""
FINDINGS: Columns = {"check": str, "level": str, "found": str, "remedy": str}
CARRIED: Columns = {"server": str, "knob": str, "how": str, "by": str}
PLAN: Columns = {"what": str, "is": str}
EXPORTED: Columns = {"knob": str, "value": str, "how": str, "by": str}
DRIFT: Columns = {
    "load_rps": float,
    **CONFIG,
    "answer": str,
    "requests": int,
    "lost": int,
    **{f"{name}{end}_ms": float for name in ("p50", "p95", "p99") for end in ("", "_low", "_high")},
    "slo_attainment": float,
}


def measurement_frame(found: Measurement) -> "pd.DataFrame":
    """Return one row a configuration."""
    rows = [{**_asked(found.load_rps, found.slo), **_side(side)} for side in found.sides]
    return frame_of(complete(rows, MEASURED), MEASURED)


def drift_frame(report: DriftReport) -> "pd.DataFrame":
    """Return one row for each load of the policy."""
    found = []
    for level in report.levels:
        row: Row = {"load_rps": level.load_rps, "answer": level.answer, **config_row(level.config)}
        row |= {"requests": level.requests, "lost": level.lost}
        row["slo_attainment"] = level.slo_attainment
        for name, one in (("p50", level.p50), ("p95", level.p95), ("p99", level.p99)):
            row |= {} if one is None else percentile_row(name, one)
        found.append(row)
    return frame_of(complete(found, DRIFT), DRIFT)


def gate_frame(report: GateReport) -> "pd.DataFrame":
    """Return up to three rows: `file`, `now` and `default`, the last two of the same rounds."""
    asked = _asked(report.load_rps, report.slo)
    sides: list[tuple[str, Row, Summary | None]] = [
        ("file", config_row(report.config), report.promised),
        ("now", config_row(report.config), report.measured),
        ("default", config_row(report.config.default), report.default),
    ]
    rows = [
        {"of": of, **asked, **config, **summary_row(one)}
        for of, config, one in sides
        if one is not None
    ]
    return frame_of(complete(rows, GATE), GATE)


def verified_frame(found: Sequence[Verified]) -> "pd.DataFrame":
    """Return one row a configuration and load."""
    rows = [{**_server(one), **_load(load)} for one in found for load in one.loads]
    return frame_of(complete(rows, VERIFIED), VERIFIED)


def findings_frame(findings: Sequence[Finding]) -> "pd.DataFrame":
    """Return one row a finding, worst first."""
    rows: list[Row] = [msgspec.structs.asdict(one) for one in findings]
    return frame_of(complete(rows, FINDINGS), FINDINGS)


def export_frame(exporter: Exporter, deployment: Deployment) -> "pd.DataFrame":
    """Return one row a knob: its value, how the server carries it, and by what."""
    rows: list[Row] = [
        {"knob": knob, "value": str(getattr(deployment.config, knob)), "how": one.how, "by": one.by}
        for knob, one in exporter.carried.items()
    ]
    return frame_of(complete(rows, EXPORTED), EXPORTED)


def servers_frame(exporters: Mapping[str, Exporter]) -> "pd.DataFrame":
    """Return one row a server and knob."""
    rows: list[Row] = [
        {"server": name, "knob": knob, "how": carried.how, "by": carried.by}
        for name, one in exporters.items()
        for knob, carried in one.carried.items()
    ]
    return frame_of(complete(rows, CARRIED), CARRIED)


def plan_frame(found: AnyPlan) -> "pd.DataFrame":
    """Return one row a line of the plan."""
    rows: list[Row] = [{"what": what, "is": text} for what, text in plan_rows(found)]
    return frame_of(complete(rows, PLAN), PLAN)


def _asked(load_rps: float, slo: Slo) -> Row:
    return {"load_rps": load_rps, "slo_ms": slo.latency_ms, "slo_percentile": slo.percentile}


def _side(side: Side) -> Row:
    return {
        **config_row(side.config),
        **summary_row(side.summary),
        "answer": side.slo.answer,
        "confidence": side.slo.confidence,
        "valid": side.validity.valid,
        "invalid_because": "; ".join(side.validity.reasons),
        "judged": side.slo.requests,
        "over": side.slo.over,
        "independent": side.slo.independent,
        "served_rps": side.served_rps,
        "idle_cores": side.idle_cores,
        "windows": side.windows,
        "seconds": side.seconds,
    }


def _server(one: Verified) -> Row:
    return {
        "server": one.server,
        "slo_ms": one.slo.latency_ms,
        "slo_percentile": one.slo.percentile,
        **config_row(one.config),
        "answers": one.answers,
        "without_effect": "; ".join(knob.knob for knob in one.knobs if knob.effect == "did not"),
    }


def _load(load: LoadSeen) -> Row:
    fields = msgspec.structs.asdict(load)
    row: Row = {name: fields[name] for name in VERIFIED if name in fields}
    for name in ("p50", "p95", "p99", "objective"):
        row |= percentile_row(name, fields[name])
    if load.promised is not None:
        promised = summary_row(load.promised)
        for name in ("p50_ms", "p99_ms", "objective_ms", "slo_attainment"):
            row[f"promised_{name}"] = promised[name]
    return row
