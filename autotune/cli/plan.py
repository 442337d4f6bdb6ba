"""`autotune plan`: tuned files, a trace and prices -> the cheapest fleet that meets the SLO."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli import completions
from autotune.cli.exit_codes import PLANNED
from autotune.cli.options import OBJECTIVE, OUTPUT, TRAFFIC, JsonOption
from autotune.errors import UsageError
from autotune.given import make_slo
from autotune.units import parse_duration_s, parse_percentile

if TYPE_CHECKING:
    from autotune.planning.question import Asked, PlanQuestion
    from autotune.planning.records import Plan

AUTOSCALERS = "Autoscalers"
_FRAGMENTS = ("--hpa", "--keda", "--ray")
_Outputs = dict[str, Path]
"""Where to write, by option."""


def plan(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE",
            help="Tuned files, one a machine type: NAME as in the price list, or the file is "
            "called NAME.autotune.json. A fleet's file holds several, each by its type's name.",
            autocompletion=completions.tuned_files,
        ),
    ],
    trace: Annotated[
        Path,
        typer.Option(
            metavar="CSV",
            help="Recorded arrivals, first column: seconds, or ISO 8601; may be gzipped.",
            rich_help_panel=TRAFFIC,
        ),
    ],
    prices: Annotated[
        Path,
        typer.Option(
            metavar="TOML",
            help="What machines and functions cost: see docs/how-to/plan-a-fleet.md.",
        ),
    ],
    slo: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Latency objective with its unit, like 50ms. [default: that of the files]",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    percentile: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT",
            help="Share of requests that must be within the SLO. [default: that of the files]",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    step: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Time between decisions on how many machines there are."
        ),
    ] = "30s",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of what is simulated.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the plan as JSON. [default: it is printed only]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="HTML",
            help="Write one page that needs no network.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write load, machines and attainment over time as PNG.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Likewise as SVG.", rich_help_panel=OUTPUT),
    ] = None,
    hpa: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Write a HorizontalPodAutoscaler of Kubernetes.",
            rich_help_panel=AUTOSCALERS,
        ),
    ] = None,
    keda: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML", help="Write a KEDA ScaledObject.", rich_help_panel=AUTOSCALERS
        ),
    ] = None,
    ray: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Write Ray Serve's autoscaling_config.",
            rich_help_panel=AUTOSCALERS,
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Find the cheapest machines that meet the SLO on a recorded trace, and how to scale them.

    Nothing is measured: the files say how long executions take, and the trace is simulated with
    fixed fleets, reactive and predictive scaling, and functions for what machines cannot take.
    """
    from autotune.planning.make import make_plan
    from autotune.tabular import to_json

    given = {"-o": output, "--report": report, "--png": png, "--svg": svg}
    given |= {"--hpa": hpa, "--keda": keda, "--ray": ray}
    outputs = {option: path for option, path in given.items() if path is not None}
    named = [_named(text) for text in files]
    _demand_places(outputs, [trace, prices, *(path for _, path in named)])
    found = make_plan(_question(named, trace, prices, _asked(slo, percentile, step, seed)))
    # Printed first: what cannot be written afterwards shall cost nobody the answer.
    if json:
        typer.echo(to_json(found), nl=False)
    else:
        from autotune.cli.page import print_page
        from autotune.present.fleet import fleet_page

        print_page(fleet_page(found))
    _write(found, outputs)
    return PLANNED[found.answer]


def _asked(slo: str | None, percentile: str | None, step: str, seed: int) -> "Asked":
    from autotune.planning.question import Asked, check_step_s

    latency_ms = None if slo is None else 1e3 * parse_duration_s(slo, "--slo")
    percent = None if percentile is None else parse_percentile(percentile, "--percentile")
    # As strict as for a search, whichever of the two is given.
    make_slo(latency_ms or 1.0, percent or 99.0, f"--slo {slo!r}", f"--percentile {percentile}")
    step_s = check_step_s(parse_duration_s(step, "--step"), f"--step {step!r}")
    return Asked(latency_ms=latency_ms, percentile=percent, step_s=step_s, seed=seed)


def _named(text: str) -> tuple[str | None, Path]:
    """Return the machine type that a file is said to be for, if it is, and the file."""
    name, equals, path = text.partition("=")
    if not equals or os.path.exists(text):
        return None, Path(text)
    if not name or not path:
        raise UsageError(f"{text!r} is no NAME=FILE, like c7g.large=model.autotune.json")
    return name, Path(path)


def _question(
    named: list[tuple[str | None, Path]], trace: Path, prices: Path, asked: "Asked"
) -> "PlanQuestion":
    from autotune.planning.arriving import read_arriving
    from autotune.planning.prices import read_prices
    from autotune.planning.question import given_files, make_question

    listed = read_prices(prices, "--prices")
    given = [one for name, path in named for one in given_files(name, path)]
    return make_question(given, listed, asked, lambda: read_arriving(trace, "--trace"))


def _demand_places(outputs: _Outputs, inputs: list[Path]) -> None:
    """Refuse places where something would be lost, before minutes are spent.

    Raises:
        UsageError: two outputs are one file, or one is what is read.
    """
    seen = {os.path.realpath(path): "is read" for path in inputs}
    for option, path in outputs.items():
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe, or a terminal
            continue
        place = os.path.realpath(path)
        if place in seen:
            raise UsageError(f"{option} {path}: {seen[place]} as well, and would be lost")
        seen[place] = f"is where {option} writes"


def _write(found: "Plan", outputs: _Outputs) -> None:
    """Write all that is asked for; without a plan there are no numbers for an autoscaler."""
    from autotune.cli.foreign import clean

    for option, path in outputs.items():
        if option in _FRAGMENTS and found.answer != "met":
            typer.echo(f"{option}: nothing is written: no plan meets the SLO", err=True)
        else:
            _write_one(found, option, path)
            typer.echo(f"Written to {clean(str(path))}", err=True)


def _write_one(found: "Plan", option: str, path: Path) -> None:
    from autotune.planning import autoscalers
    from autotune.reports import plan_charts, plan_page, plan_writing
    from autotune.reports.picture import png, svg
    from autotune.reports.writing import write_report

    match option:
        case "-o":
            plan_writing.write_plan(path, found)
            return
        case "--report":
            data = plan_page.plan_page(found).encode()
        case "--png":
            data = png(plan_charts.overview(found))
        case "--svg":
            data = svg(plan_charts.overview(found)).encode()
        case "--hpa":
            data = autoscalers.hpa_yaml(found).encode()
        case "--keda":
            data = autoscalers.keda_yaml(found).encode()
        case _:
            data = autoscalers.ray_yaml(found).encode()
    write_report(path, data, option)
