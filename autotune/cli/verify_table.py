"""What `autotune verify` saw, as a person reads it."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from autotune.records import Percentile
from autotune.servers.seen import LoadSeen, Verified
from autotune.units import format_ms, format_percent, format_rps

_STYLES = {"took effect": "green", "did not": "bold red", "not seen": "dim", "not carried": "dim"}


def print_verified(found: Sequence[Verified]) -> None:
    """Print, for each configuration, what took effect and what each load came to."""
    console = Console(highlight=False, soft_wrap=False)
    for number, one in enumerate(found):
        if number:
            console.print()
        _print_one(console, one)


def _print_one(console: Console, one: Verified) -> None:
    version = f" {one.version}" if one.version else ""
    console.print(f"{one.server}{version}: {one.config.describe()}", style="bold", markup=False)
    if one.ready_after_s is not None:
        console.print(
            f"ready after {one.ready_after_s:.1f} s; processes: {one.processes}, threads in all: "
            f"{one.threads}",
            style="dim",
        )
    _print_answers(console, one)
    console.print()
    console.print(_knobs(one))
    console.print()
    console.print(_loads(one))
    for load in one.loads:
        for text in load.errors[:3]:
            console.print(f"{format_rps(load.load_rps)}/s: {text}", style="red", markup=False)
    if one.overhead_ms is not None:
        console.print(
            f"One request at a time, the server adds {format_ms(one.overhead_ms)} ms to an "
            "execution. overhead: median of latency less execution, so queueing and waiting for "
            "company, too. late: what the client added by sending late (p99).",
            style="dim",
        )


def _print_answers(console: Console, one: Verified) -> None:
    if one.answers == "different":
        text = f"answers differ from those of ONNX Runtime's default: {one.difference}"
        console.print(text, style="bold red", markup=False)
    elif one.answers == "equal":
        console.print("answers are those of ONNX Runtime's default", style="dim")
    else:
        console.print("answers were not compared: this model gives none that can be", style="dim")


def _knobs(one: Verified) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("knob", no_wrap=True)
    table.add_column("asked", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("seen")
    for knob in one.knobs:
        table.add_row(knob.knob, knob.asked, knob.effect, knob.seen, style=_STYLES[knob.effect])
    return table


def _loads(one: Verified) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    percentile = f"p{one.slo.percentile:g}"
    for name in (
        "load",
        "",
        "p50 ms",
        f"{percentile} ms",
        "in SLO",
        "SLO",
        "execution",
        "overhead",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("late", justify="right", no_wrap=True)
    for load in one.loads:
        _add_load(table, load)
    return table


def _add_load(table: Table, load: LoadSeen) -> None:
    rate = f"{format_rps(load.load_rps)}/s"
    if load.promised is not None:
        promised = load.promised
        table.add_row(
            rate,
            "in the file",
            _value(promised.p50),
            _value(promised.objective),
            f"{format_percent(promised.slo_attainment)} %",
            _verdict(promised.slo_verdict, promised.meets_slo),
            format_ms(promised.service_ms),
            "",
            "",
            style="dim",
        )
        rate = ""
    met = load.slo_verdict != "missed"
    table.add_row(
        rate,
        "seen",
        _value(load.p50),
        _value(load.objective),
        f"{format_percent(load.slo_attainment)} %",
        _verdict(load.slo_verdict, load.keeps_slo),
        format_ms(load.inference_ms),
        format_ms(load.overhead_ms),
        format_ms(load.sent_late_ms),
        style="green" if met else "red",
    )


def _verdict(verdict: str, estimate: bool) -> str:
    return verdict if verdict != "undecided" else "met?" if estimate else "missed?"


def _value(one: Percentile) -> str:
    return format_ms(one.value_ms) if one.value_ms is not None else "lost"
