"""A measurement as a person reads it: verdict first, then the evidence, then what to do."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autotune.records import Percentile
from autotune.spec import Slo
from autotune.stages.measurement import Difference, Measurement, Side
from autotune.units import format_ms, format_percent, format_rps

_STYLES = {"PASS": "bold green", "FAIL": "bold red", "UNDECIDED": "bold yellow"}
_BAR = 32
"""Characters of the longest bar."""


def print_measurement(found: Measurement) -> None:
    """Print each configuration's verdict and evidence, then how two differ."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(
        f"{escape(found.model)} at {format_rps(found.load_rps)} requests/s ({found.arrivals}), "
        f"{found.machine.cores_usable} usable cores, {found.runtime}",
        style="dim",
    )
    for side in found.sides:
        console.print()
        _print_side(console, side, found.slo)
    if found.differences:
        console.print()
        _print_differences(console, found)


def _print_side(console: Console, side: Side, slo: Slo) -> None:
    console.print(side.config.describe(), style="bold")
    valid = side.validity.valid
    reasons = "" if valid else f": {escape('; '.join(side.validity.reasons))}"
    console.print(f"{'VALID' if valid else 'INVALID'}{reasons}", style="green" if valid else "red")
    console.print(_verdict(side, slo), style=_STYLES[side.slo.answer])
    console.print()
    console.print(_percentiles(side))
    _print_histogram(console, side, slo)
    console.print()
    console.print(_parts(side, slo))
    console.print()
    for text in _costs(side):
        console.print(escape(text))
    for step in side.validity.next_steps:
        console.print(f"-> {escape(step)}")


def _verdict(side: Side, slo: Slo) -> str:
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


def _percentiles(side: Side) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    summary = side.summary
    columns = {"p50": summary.p50, "p95": summary.p95, "p99": summary.p99}
    table.add_column("latency, ms")
    for name in (*columns, "largest", "in SLO"):
        table.add_column(name, justify="right")
    table.add_row(
        "measured",
        *(
            format_ms(one.value_ms) if one.value_ms is not None else "lost"
            for one in columns.values()
        ),
        format_ms(summary.largest_ms),
        f"{format_percent(summary.slo_attainment)} %",
    )
    table.add_row("95 % interval", *map(_interval, columns.values()), "", "", style="dim")
    return table


def _interval(one: Percentile) -> str:
    low = format_ms(one.low_ms) if one.low_ms is not None else "?"
    high = format_ms(one.high_ms) if one.high_ms is not None else "?"
    return f"{low} to {high}"


def _print_histogram(console: Console, side: Side, slo: Slo) -> None:
    """Bars of requests by latency; those beyond the SLO are marked, in colour and without.

    The share at the end of a line is of all requests up to there, lost ones among all.
    """
    edges_ms, counts = side.histogram.edges_ms, side.histogram.counts
    if not counts:
        return
    console.print()
    block = "█" if console.encoding.lower().startswith("utf") else "#"
    total, most = side.summary.requests, max(*counts, side.summary.lost)
    reached = 0

    def bar(count: int) -> str:
        return f"{block * max(round(_BAR * count / most), int(count > 0)):<{_BAR}} {count:>6,}"

    for low_ms, high_ms, count in zip(edges_ms, edges_ms[1:], counts, strict=False):
        reached += count
        over = low_ms > slo.latency_ms
        mark = " over" if over and count else ""
        console.print(
            f"{format_ms(low_ms):>7} to {format_ms(high_ms):>6} ms {bar(count)} "
            f"{format_percent(reached / total):>6} %{mark}",
            style="red" if over else None,
            markup=False,
        )
    if side.summary.lost:
        console.print(f"{'lost':>20} {bar(side.summary.lost)}", style="red", markup=False)


def _parts(side: Side, slo: Slo) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("where the time went, ms")
    for name in ("issue", "queueing", "batch wait", "service"):
        table.add_column(name, justify="right", no_wrap=True)
    share = f"{100 - slo.percentile:.3g} %"
    for name, parts in (("all requests", side.mean), (f"slowest {share}", side.slowest)):
        values = (
            parts.issue_lateness_ms,
            parts.queueing_ms,
            parts.batch_wait_ms,
            parts.service_ms,
        )
        table.add_row(name, *map(format_ms, values))
    return table


def _costs(side: Side) -> list[str]:
    summary, idle = side.summary, side.after_idle
    joules = summary.joules_per_request
    energy = "energy cannot be read here" if joules is None else f"{joules:.3g} J per request"
    lines = [
        f"CPU {format_ms(summary.cpu_s_per_request * 1e3)} ms per request; idle with the model "
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


def _print_differences(console: Console, found: Measurement) -> None:
    first, second = (side.config.describe() for side in found.sides)
    console.print(f"{first} over {second}, {found.sides[0].windows} interleaved rounds:")
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for name in ("", "ratio", "95 % interval", "p", ""):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for one in found.differences:
        table.add_row(one.what, *_cells(one), style=None if one.differs else "dim")
    console.print(table)


def _cells(one: Difference) -> tuple[str, str, str, str]:
    bounds = ["?" if bound is None else f"{bound:.2f}" for bound in (one.low, one.high)]
    ratio = "lost" if one.ratio is None else f"{one.ratio:.2f}"
    return ratio, " to ".join(bounds), f"{one.p_value:.3f}", "differs" if one.differs else "noise"
