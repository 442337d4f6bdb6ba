"""One self-contained HTML page: pictures, facts and every trial. No request leaves it."""

import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from autotune.command_line import measure_command
from autotune.config_file import Trial, TunedFile
from autotune.present.answer import target_lines
from autotune.records import Summary
from autotune.reports.charts import charts
from autotune.reports.frame import Head, drawing, figures, framed
from autotune.reports.markup import escaped
from autotune.reports.series import result_of
from autotune.units import format_cores, format_ms, format_percent, format_rps, format_shape

_SENTENCE_ENDS = re.compile(r"(?<=[.]) (?=[A-Z])")
HERE = Path(__file__).parent
COLUMNS = (
    ("phase", "phase"),
    ("load, /s", "number"),
    ("configuration", "text"),
    ("predicted ms", "number"),
    ("p50 ms", "number"),
    ("p95 ms", "number"),
    ("p99 ms", "number"),
    ("in SLO, %", "number"),
    ("CPU ms", "number"),
    ("requests", "number"),
    ("result", "text"),
    ("took s", "number"),
)
"""Of the trials' table: heading and how to sort."""
LOST_LAST = 1e12
"""Sorts a percentile that has no value behind all that have one."""


def page(tuned: TunedFile) -> str:
    """Return the whole report."""
    pictures = charts(tuned)
    sentence, *more = _SENTENCE_ENDS.split(tuned.summary, maxsplit=1)
    main = Template((HERE / "page.html").read_text()).substitute(
        pictures=figures(pictures),
        missing=escaped(_missing(tuned)),
        facts=_facts(tuned),
        front=_front(tuned) + _trade_offs(tuned),
        headings="".join(_heading(name, kind) for name, kind in COLUMNS),
        trials="\n".join(_trial(tuned, trial) for trial in tuned.trials),
        count=len(tuned.trials),
    )
    head = Head("autotune report", tuned.model.name, sentence, " ".join(more), _asked(tuned))
    return framed(head, main, scripts=drawing(pictures, (HERE / "page.js").read_text()))


def _asked(tuned: TunedFile) -> str:
    machine = tuned.machine
    return (
        f"SLO {tuned.slo}, arrivals {tuned.arrivals}, {format_cores(machine.cores_usable)} of "
        f"{machine.cpu}, {tuned.runtime}"
    )


def _missing(tuned: TunedFile) -> str:
    if tuned.lattice is not None:
        return ""
    return (
        "The file was written by an older autotune: distributions, the space and the search's "
        "regret are not in it. Search again to see them."
    )


def _facts(tuned: TunedFile) -> str:
    model, machine, search = tuned.model, tuned.machine, tuned.search
    shapes = ", ".join(f"{name} {format_shape(s)}" for name, s in model.request_shapes.items())
    quota = "none" if machine.cpu_quota is None else f"{machine.cpu_quota:g} cores"
    facts = {
        "Recommended": tuned.recommended.describe(),
        "Model": f"{model.name} (sha256 {model.sha256[:16]}...)",
        "Request": f"{shapes} ({model.request_source})",
        "Batches": f"{'yes' if model.batchable else 'no'}: {model.batch_reason}",
        "Machine": f"{machine.cpu}, {format_cores(machine.cores_usable)}, CPU quota {quota}",
        "System": machine.os,
        "Versions": f"{tuned.runtime}, autotune {tuned.autotune}",
        "Objective": search.objective,
        "Search": (
            f"{len(tuned.trials)} trials in {search.seconds:g} s, the profile's "
            f"{search.profile_seconds:g} s included; {search.points:,} points; ended: "
            f"{search.stopped}; seed {search.seed}"
        ),
        "Started": search.started_at,
    }
    if tuned.target is not None:
        first, *loads = target_lines(tuned.target, tuned.slo.percentile)
        facts["Server"] = f"{first} {'; '.join(line.strip() for line in loads)}"
        facts["Not carried"] = "; ".join(tuned.target.not_carried) or "nothing"
    if search.left_out:
        facts["Left out"] = "; ".join(search.left_out)
    return "".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in facts.items())


def _front(tuned: TunedFile) -> str:
    """What may be traded, as a table; nothing where there is but one choice."""
    if len(tuned.front) < 2:
        return ""
    cells = "".join(
        f"<tr><td>{format_rps(one.load_rps)}</td><td>{escaped(one.config.describe())}</td>"
        f"<td>{one.cores}</td><td>{1e3 * one.cpu_s_per_request:.3g}</td>"
        f"<td>{one.requests:,}</td></tr>"
        for one in tuned.front
    )
    head = "<th>load, /s</th><th>configuration</th><th>cores</th><th>CPU ms</th><th>requests</th>"
    return (
        "<section><h2>What may be traded</h2><p>Measured within the SLO, and beaten by nothing "
        "else in load, cores and CPU time all at once.</p><div class='wide'><table><thead><tr>"
        f"{head}</tr></thead><tbody>{cells}</tbody></table></div></section>"
    )


def _trade_offs(tuned: TunedFile) -> str:
    """Latency, energy and cores of what nothing beats in all three, as a table."""
    if not tuned.trade_offs or tuned.power is None:
        return ""
    cells = "".join(
        f"<tr><td>{format_rps(one.load_rps)}</td><td>{escaped(one.config.describe())}</td>"
        f"<td>{format_ms(one.latency_ms)}</td><td>{one.joules_per_request:.3g}</td>"
        f"<td>{one.core_s_per_request:.3g}</td><td>{'met' if one.meets_slo else 'missed'}</td></tr>"
        for one in tuned.trade_offs
    )
    heads = ("load, /s", "configuration", f"p{tuned.slo.percentile:g} ms", "joules", "core-s")
    head = "".join(f"<th>{name}</th>" for name in (*heads, "SLO"))
    return (
        "<section><h2>Latency, energy and cores</h2><p>Measured, and beaten by nothing else in all "
        "three. Joules and core-seconds are those of a request. "
        f"{escaped(tuned.power.describe())}.</p><div class='wide'><table><thead><tr>{head}</tr>"
        f"</thead><tbody>{cells}</tbody></table></div></section>"
    )


def _heading(name: str, kind: str) -> str:
    return f'<th data-sort="{kind}" aria-sort="none"><button>{escaped(name)}</button></th>'


def _trial(tuned: TunedFile, trial: Trial) -> str:
    command = measure_command(tuned, trial.config, trial.load_rps)
    cells = "".join(
        f'<td data-value="{escaped(str(value))}">{escaped(text)}</td>'
        for value, text in _cells(trial)
    )
    copy = (
        f'<button class="copy" data-command="{escaped(command)}">copy</button>' if command else ""
    )
    disturbed = trial.measured.disturbed if trial.measured else []
    why = trial.failure.detail if trial.failure else "; ".join(disturbed)
    return f'<tr title="{escaped(why)}">{cells}<td>{copy}</td></tr>'


def _cells(trial: Trial) -> Sequence[tuple[object, str]]:
    """Return each column's value to sort by, and its text."""
    measured = [("", "")] * 6 if trial.measured is None else _measured_cells(trial.measured)
    disturbed = trial.measured is not None and trial.measured.disturbed
    result = result_of(trial) + (" *" if disturbed else "")
    name = trial.config.describe()
    return [
        (trial.phase, trial.phase),
        (trial.load_rps, format_rps(trial.load_rps)),
        (name, name),
        (trial.predicted_ms, format_ms(trial.predicted_ms)),
        *measured,
        (result, result),
        (trial.seconds, f"{trial.seconds:.1f}"),
    ]


def _measured_cells(seen: Summary) -> list[tuple[object, str]]:
    latencies: list[tuple[object, str]] = [
        (LOST_LAST, "lost") if one.value_ms is None else (one.value_ms, format_ms(one.value_ms))
        for one in (seen.p50, seen.p95, seen.p99)
    ]
    cpu_ms = 1e3 * seen.cpu_s_per_request
    return [
        *latencies,
        (seen.slo_attainment, format_percent(seen.slo_attainment)),
        (cpu_ms, format_ms(cpu_ms)),
        (seen.requests, f"{seen.requests:,}"),
    ]
