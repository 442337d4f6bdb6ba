"""A measurement as a page: verdict first, then the evidence, then what to do."""

from collections.abc import Iterator

from autotune.present.cells import as_tone, bounds, cpu_ms, share, value
from autotune.present.document import BLANK, BLOCK, Column, Document, Line, Row, Table, Tone
from autotune.records import Percentile
from autotune.spec import Slo
from autotune.stages.measurement import Difference, Measurement, Side, SloAnswer
from autotune.units import format_cores, format_ms, format_percent, format_rps

_TONES: dict[SloAnswer, Tone] = {"PASS": "good", "FAIL": "bad", "UNDECIDED": "doubt"}
_BAR = 32
"""Characters of the longest bar."""


def measurement_page(found: Measurement) -> Document:
    """Return each configuration's verdict and evidence, then how two differ."""
    head = (
        f"{found.model} at {format_rps(found.load_rps)} requests/s ({found.arrivals}), "
        f"{format_cores(found.machine.cores_usable)}, {found.runtime}"
    )
    page: list[Line | Table] = [Line(head, "dim")]
    for side in found.sides:
        page += [BLANK, *_side(side, found.slo)]
    if found.differences:
        page += [BLANK, *_differences(found)]
    return page


def verdict_line(side: Side, slo: Slo) -> str:
    """Return the SLO's verdict on one configuration, with its evidence."""
    result = side.slo
    words = {"PASS": str(slo), "FAIL": f"p{slo.percentile:g} > {slo.latency_ms:g} ms"}
    claim = words.get(result.answer, f"whether {slo} is not proven either way")
    evidence = (
        f"n = {result.requests:,}, {result.over:,} over (worth {result.independent:,.0f} "
        "independent requests)"
    )
    if result.stopped == "diverged":
        return (
            f"{result.answer}  the queue grows without end: about {format_rps(side.served_rps)} "
            f"requests/s are served (seen in {side.seconds:.1f} s)"
        )
    return (
        f"{result.answer}  {claim} at {100 * result.confidence:g} % confidence, {evidence}, "
        f"in {side.seconds:.1f} s"
    )


def _side(side: Side, slo: Slo) -> Iterator[Line | Table]:
    yield Line(side.config.describe(), "strong")
    validity = side.validity
    reasons = "" if validity.valid else f": {'; '.join(validity.reasons)}"
    yield Line(f"{'VALID' if validity.valid else 'INVALID'}{reasons}", as_tone(validity.valid))
    yield Line(verdict_line(side, slo), _TONES[side.slo.answer])
    yield BLANK
    yield _percentiles(side)
    if side.histogram.counts:
        yield BLANK
        yield _histogram(side, slo)
    yield BLANK
    yield _parts(side, slo)
    yield BLANK
    yield from map(Line, _costs(side))
    yield from (Line(f"-> {step}") for step in validity.next_steps)


def _percentiles(side: Side) -> Table:
    summary = side.summary
    columns = {"p50": summary.p50, "p95": summary.p95, "p99": summary.p99}
    rest = [format_ms(summary.largest_ms), share(summary.slo_attainment)]
    return Table(
        [
            Column("latency, ms", right=False, wraps=True),
            *map(Column, columns),
            Column("largest", spare=1),
            Column("in SLO"),
        ],
        [
            Row(["measured", *map(value, columns.values()), *rest]),
            Row(["95 % interval", *map(_interval, columns.values()), "", ""], "dim"),
        ],
    )


def _interval(one: Percentile) -> str:
    return " to ".join(bounds(one, unknown_low="?"))


def _histogram(side: Side, slo: Slo) -> Table:
    """Bars of requests by latency; those beyond the SLO are marked, in colour and without.

    The share at the end of a line is of all requests up to there, lost ones among all.
    """
    edges_ms, counts = side.histogram.edges_ms, side.histogram.counts
    total, lost = side.summary.requests, side.summary.lost
    most, reached, rows = max(*counts, lost), 0, []

    def bar(count: int) -> str:
        return BLOCK * max(round(_BAR * count / most), int(count > 0))

    for low_ms, high_ms, count in zip(edges_ms, edges_ms[1:], counts, strict=False):
        reached += count
        over = low_ms > slo.latency_ms
        rows.append(
            Row(
                [
                    f"{format_ms(low_ms)} to {format_ms(high_ms):>6} ms",
                    bar(count),
                    f"{count:,}",
                    f"{format_percent(reached / total)} %",
                    "over" if over and count else "",
                ],
                "bad" if over else "plain",
            )
        )
    if lost:
        rows.append(Row(["lost", bar(lost), f"{lost:,}", "", ""], "bad"))
    bars, mark = Column("", right=False, bar=True), Column("", right=False)
    return Table([Column(""), bars, Column(""), Column(""), mark], rows)


def _parts(side: Side, slo: Slo) -> Table:
    slowest = f"slowest {100 - slo.percentile:.3g} %"
    rows = []
    for name, parts in (("all requests", side.mean), (slowest, side.slowest)):
        values = (
            parts.issue_lateness_ms,
            parts.queueing_ms,
            parts.batch_wait_ms,
            parts.service_ms,
        )
        rows.append(Row([name, *map(format_ms, values)]))
    heads = ("issue", "queueing", "batch wait", "service")
    first = Column("where the time went, ms", right=False, wraps=True)
    return Table([first, *map(Column, heads)], rows)


def _costs(side: Side) -> list[str]:
    summary, idle = side.summary, side.after_idle
    joules = summary.joules_per_request
    energy = "energy cannot be read here" if joules is None else f"{joules:.3g} J per request"
    lines = [
        f"CPU {cpu_ms(summary)} ms per request; idle with the model "
        f"loaded {side.idle_cores:.2f} cores; peak memory {summary.peak_memory_mib:,.0f} MiB; "
        f"{energy}"
    ]
    if summary.mean_batch_size > 1:
        lines.append(f"batches of {summary.mean_batch_size:.2f} on average")
    if idle is not None:
        lines.append(
            f"after idle gaps of half a second or more: p50 {format_ms(idle.p50_ms)} ms "
            f"({idle.requests} requests), else {format_ms(idle.others_p50_ms)} ms"
        )
    return lines + side.validity.notes


def _differences(found: Measurement) -> Iterator[Line | Table]:
    first, second = (side.config.describe() for side in found.sides)
    yield Line(f"{first} over {second}, {found.sides[0].windows} interleaved rounds:")
    columns = [
        Column("", right=False),
        *map(Column, ("ratio", "95 % interval", "p")),
        Column("", right=False),
    ]
    rows = [
        Row([one.what, *_compared(one)], "plain" if one.differs else "dim")
        for one in found.differences
    ]
    yield Table(columns, rows)


def _compared(one: Difference) -> tuple[str, str, str, str]:
    ends = ["?" if bound is None else f"{bound:.2f}" for bound in (one.low, one.high)]
    ratio = "lost" if one.ratio is None else f"{one.ratio:.2f}"
    return ratio, " to ".join(ends), f"{one.p_value:.3f}", "differs" if one.differs else "noise"
