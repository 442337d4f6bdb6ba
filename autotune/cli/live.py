"""Progress while a search runs: a live table on a terminal, plain lines anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autotune.records import Summary
from autotune.spec import ServingConfig
from autotune.stages.events import (
    Event,
    Inspected,
    Looked,
    Observer,
    Predicted,
    Profiled,
    Said,
    Started,
    Tried,
)
from autotune.units import format_ms, format_rps

LOOK_LINE_S = 2.0
"""A run shorter than this needs no line on its way."""


@contextmanager
def watch() -> Iterator[Observer]:
    """Yield an observer that reports on standard error."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _line_by_line()
        return
    view = _View()
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def observe(event: Event) -> None:
            view.take(event)
            if not isinstance(event, Started | Tried | Looked):
                live.console.print(line(event), markup=False)
            live.update(view.render())

        yield observe


def _line_by_line() -> Observer:
    """Print each event as a line; of the looks at one run, those that double its length."""
    next_look_s = LOOK_LINE_S

    def observe(event: Event) -> None:
        nonlocal next_look_s
        if isinstance(event, Started):
            next_look_s = LOOK_LINE_S
        if isinstance(event, Looked):
            if event.elapsed_s < next_look_s and event.decision == "go_on":
                return
            next_look_s = 2 * event.elapsed_s
        print(line(event), file=sys.stderr, flush=True)  # noqa: T201

    return observe


def line(event: Event) -> str:
    """Return the event as one line of text."""
    match event:
        case Started():
            return f"{event.step} ..."
        case Inspected():
            info = event.info
            batch = "can be batched" if info.batchable else "no batching"
            check = "outputs are checked" if info.outputs_checked else "outputs cannot be checked"
            return (
                f"model: loads in {info.load_s:.2f} s, {batch}: {info.batch_reason}; "
                f"{check}: {info.outputs_reason}; {event.cores} usable cores"
            )
        case Profiled():
            return f"profile: {event.label}: {format_ms(event.median_ms)} ms"
        case Predicted():
            return _predicted(event)
        case Tried():
            return _tried(event)
        case Looked():
            return _looked(event)
        case Said():
            return event.text


def _looked(event: Looked) -> str:
    end = "" if event.decision == "go_on" else f": {event.decision}"
    return (
        f"{event.elapsed_s:.1f} s: {event.requests:,} requests served, {event.over:,} over the "
        f"SLO{end}"
    )


def _predicted(event: Predicted) -> str:
    answers = "; ".join(
        f"{format_rps(load_rps)}/s: {config.describe()} ~{format_ms(predicted_ms)} ms"
        for load_rps, config, predicted_ms in zip(
            event.loads_rps, event.configs, event.predicted_ms, strict=True
        )
    )
    return f"first answer, predicted over {event.points} configurations: {answers}"


def _tried(event: Tried) -> str:
    return (
        f"{event.phase} {format_rps(event.load_rps)}/s: {event.config.describe()}: "
        f"{_result(event)} (predicted {format_ms(event.predicted_ms)}); "
        f"{event.ends_in_s:.0f} s left"
    )


def _result(event: Tried) -> str:
    if not isinstance(event.result, Summary):
        return f"failed: {event.result.kind}: {event.result.detail}"
    if event.result.diverged:
        return "overload, given up"
    return f"{format_ms(event.result.objective.value_ms)} ms"


class _View:
    """What the live table shows."""

    def __init__(self) -> None:
        self._step = ""
        self._ends_in_s: float | None = None
        self._rows: dict[float, tuple[ServingConfig, float, str]] = {}
        self._log: list[str] = []

    def take(self, event: Event) -> None:
        match event:
            case Started():
                self._step = event.step
            case Looked():
                self._log = [_looked(event)]
            case Predicted():
                self._ends_in_s = event.ends_in_s
                for load_rps, config, predicted_ms in zip(
                    event.loads_rps, event.configs, event.predicted_ms, strict=True
                ):
                    self._rows[load_rps] = (config, predicted_ms, "-")
            case Tried():
                self._ends_in_s = event.ends_in_s
                self._log = [*self._log[-4:], _tried(event)]
                if event.best == event.config:
                    self._rows[event.load_rps] = (event.config, event.predicted_ms, _result(event))

    def render(self) -> Group:
        left = "" if self._ends_in_s is None else f", at most {self._ends_in_s:.0f} s left"
        parts: list[Text | Table] = [Text(f"{self._step}{left}", style="bold")]
        if self._rows:
            table = Table(box=None, pad_edge=False)
            for name in ("load", "best so far", "predicted", "measured"):
                table.add_column(name, justify="left" if name == "best so far" else "right")
            for load_rps, (config, predicted_ms, measured) in sorted(self._rows.items()):
                table.add_row(
                    f"{format_rps(load_rps)}/s",
                    config.describe(),
                    f"{format_ms(predicted_ms)} ms",
                    measured,
                )
            parts.append(table)
        parts += [Text(text, style="dim", no_wrap=True, overflow="ellipsis") for text in self._log]
        return Group(*parts)
