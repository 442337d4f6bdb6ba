"""A file for several models as a page: every way that was measured, and what each service met."""

from collections.abc import Iterator

from autotune.present.cells import as_tone, met_if_undisturbed, share, value
from autotune.present.document import BLANK, Column, Document, Line, Row, Table
from autotune.together.records import Contender, TogetherFile
from autotune.together.sentence import WAYS, where
from autotune.units import format_cores, format_ms, format_rps


def together_page(found: TogetherFile) -> Document:
    """Return the whole page."""
    return [*ways(found), *(Line(text, "dim") for text in notes(found)), BLANK, summary(found)]


def summary(found: TogetherFile) -> Line:
    """Return what to deploy and what it gains."""
    return Line(found.summary, "strong")


def ways(found: TogetherFile) -> Document:
    """Return the table of all ways that were measured, what is recommended first."""
    columns = (
        Column("way", right=False, wraps=True),
        Column("service", right=False),
        Column("configuration", right=False, wraps=True),
        Column("p50 ms", spare=2),
        Column("at SLO ms"),
        Column("in SLO", spare=1),
        Column("SLO", right=False),
        Column("cores"),
    )
    rows = [row for one in found.contenders for row in _rows(found, one)]
    return [Table(columns, rows)]


def _rows(found: TogetherFile, one: Contender) -> Iterator[Row]:
    best = one is found.contenders[0]
    configs = {placed.model: where(placed) for placed in one.placed}
    for number, (asked, served) in enumerate(zip(found.services, one.served, strict=True)):
        seen = served.measured
        steps = [configs[name] for name in asked.steps]
        if len(steps) > 1:
            steps = [f"{name} {text}" for name, text in zip(asked.steps, steps, strict=True)]
        cells = [
            WAYS[one.way] if not number else "",
            f"{asked.name} {format_rps(asked.load_rps)}/s",
            "\n".join(steps),
            value(seen.p50),
            value(seen.objective),
            share(seen.slo_attainment),
            met_if_undisturbed(seen),
            f"{one.cores_used:.2f}" if not number else "",
        ]
        yield Row(cells, as_tone(seen.meets_slo) if best else "dim")


def notes(found: TogetherFile) -> Iterator[str]:
    """Return what the table does not show."""
    slos = ", ".join(f"{one.name} {one.slo}, {one.arrivals}" for one in found.services)
    seen = [each.measured for one in found.contenders for each in one.served]
    spoilt = [clause for one in seen for clause in one.disturbed]
    mark = f" *: disturbed: {spoilt[0]}; see autotune doctor." if spoilt else ""
    yield (
        f"SLOs: {slos}. {format_cores(found.machine.cores_usable)}. met/missed: proven at 95 %; "
        f"with ?: the estimate only. cores: CPU seconds per second, of all.{mark}"
    )
    for one in found.services:
        if len(one.steps) > 1:
            steps = " -> ".join(
                f"{times} x {name}" if times > 1 else name
                for name, times in zip(one.steps, one.per_request, strict=True)
            )
            yield f"{one.name} is a chain, measured from end to end: {steps}."
    if found.largest_scale is not None and found.largest_scale.served:
        met = ", ".join(
            f"{one.service} {format_ms(one.measured.objective.value_ms)} ms of "
            f"{asked.slo.latency_ms:g} ({one.measured.requests} requests)"
            for one, asked in zip(found.largest_scale.served, found.services, strict=True)
        )
        yield f"Measured at {found.largest_scale.share:.2g} x the loads: {met}."
    slowed = (
        f"{one.model} beside {one.beside} x"
        + (f"{one.apart:.2f} with a thread each, x" if one.apart is not None else "")
        + f"{one.crowded:.2f} with a thread on each core each"
        for one in found.interference
    )
    yield f"Executions take longer: {'; '.join(slowed)}."
    yield (
        f"{len(found.trials)} of {found.joints} joint configurations measured, {found.stopped}; "
        f"{found.seconds:.0f} s."
    )
