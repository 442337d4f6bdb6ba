"""`autotune fleet search`: flags -> FleetQuestion -> fleet.search -> table."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.exit_codes import ExitCode
from autotune.cli.flags import (
    parse_budget_s,
    parse_model,
    parse_slo,
    parse_traffics,
    verbosity_of,
)
from autotune.cli.options import (
    OUTPUT,
    TRAFFIC,
    AllowSharedOption,
    ArrivalsOption,
    FreshOption,
    InputOption,
    JsonOption,
    LoadOption,
    ModelArgument,
    ObjectiveOption,
    PercentileOption,
    QuietOption,
    RequestsOption,
    SeedOption,
    ShapeOption,
    SloOption,
    StoreOption,
    TraceOption,
    VerboseOption,
)
from autotune.errors import UsageError
from autotune.given import check_trials, check_whole, make_objective

if TYPE_CHECKING:
    from autotune.fleet.search import FleetQuestion
    from autotune.fleet_file import FleetFile
    from autotune.stages.events import Event

CLUSTER, KUBERNETES = "Cluster", "Kubernetes"


def fleet(
    action: Annotated[str, typer.Argument(metavar="search", help="What to do: search.")],
    model: ModelArgument,
    slo: SloOption,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The Ray cluster that this machine is a node of: HOST:PORT of its head, or auto.",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    nodes_per_type: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Nodes of each machine type that search, each on its own; the least disturbed "
            "answer is kept. Others of the type stand in for those that die.",
            rich_help_panel=CLUSTER,
        ),
    ] = 1,
    at_once: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Searches side by side; those that wait learn from those that ended. "
            "[default: all]",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    kubernetes: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Write the manifest of a RayCluster for such a search, and search nothing.",
            rich_help_panel=KUBERNETES,
        ),
    ] = None,
    machine_type: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CPUS,MEMORY",
            help="A machine type of it, as its nodes' instance-type label says, and what its pod "
            "gets, like c7g.large=2,3Gi. Repeat per type.",
            rich_help_panel=KUBERNETES,
        ),
    ] = None,
    percentile: PercentileOption = "99",
    load: LoadOption = None,
    loads: Annotated[
        str | None,
        typer.Option(
            metavar="LOADS",
            help="Several loads, like 20,80,160. [default: those that matter on each type]",
            rich_help_panel=TRAFFIC,
        ),
    ] = None,
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    objective: ObjectiveOption = "latency",
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Time for each machine type, like 3m. [default: as for `autotune search`]",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most measurements on each before the confirmation."),
    ] = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    seed: SeedOption = 0,
    store: StoreOption = None,
    fresh: FreshOption = False,
    allow_shared: AllowSharedOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File to write. [default: MODEL.fleet.json]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Run the same search on every machine type of a Ray cluster, and write one file.

    Each search has its node to itself, and CPUs alone are searched. What is measured is kept here
    as it comes: where a node dies, another of its type goes on, and the same command given again
    goes on where it stopped. `plan`, `show`, `report` and `export` read the file.
    """
    from autotune.fleet.search import FleetQuestion
    from autotune.stages.question import Keeping, Question

    if action != "search":
        raise UsageError(f"autotune fleet {action}: write `autotune fleet search MODEL --slo 50ms`")
    verbosity = verbosity_of(verbose, quiet)
    if kubernetes is not None:
        return _write_manifest(kubernetes, machine_type or [], ["search", model, "--slo", slo])
    if machine_type:
        raise UsageError("--machine-type belongs to --kubernetes: a Ray cluster says what it has")
    if ray is None:
        raise UsageError("--ray names the cluster: HOST:PORT of its head, or auto on a node of it")
    asked_slo = parse_slo(slo, percentile)
    traffics, pattern = parse_traffics(load, loads, trace, arrivals)
    spec = parse_model(model, shape, input, requests, seed)
    question = Question(
        model=spec,
        name=model,
        slo=asked_slo,
        traffics=traffics,
        pattern=pattern,
        objective=make_objective(objective),
        budget_s=parse_budget_s(budget) if budget is not None else None,
        max_trials=check_trials(trials),
        seed=seed,
        keeping=Keeping(store=store, fresh=fresh, allow_shared=allow_shared),
        output=output or Path(f"{Path(spec.path).stem}.fleet.json"),
    )
    copies = check_whole(nodes_per_type, f"--nodes-per-type {nodes_per_type}", 1)
    most = None if at_once is None else check_whole(at_once, f"--at-once {at_once}", 1)
    return _run(FleetQuestion(question, copies, most), ray, verbosity, json)


def _run(asked: "FleetQuestion", address: str, verbosity: int, json: bool) -> int:
    from autotune import fleet_file
    from autotune.cli.foreign import clean
    from autotune.fleet.cluster import connected
    from autotune.fleet.search import search

    try:
        with connected(address) as cluster:
            found = search(asked, cluster, FleetLines(verbosity).observe)
    except KeyboardInterrupt:
        text = "interrupted before there was an answer; nothing was written, and what was measured"
        typer.echo(f"{text} is kept: the same command goes on", err=True)
        return ExitCode.INTERRUPTED
    print_fleet(found, json)
    if verbosity >= 0 and not json:
        typer.echo(f"\nWritten to {clean(str(asked.question.output))}")
    return ExitCode(fleet_file.exit_code(found))


def print_fleet(found: "FleetFile", json: bool) -> None:
    """Print what was found on machine types, as a page or as the file itself."""
    if json:
        from autotune import fleet_file, tabular

        typer.echo(tabular.terminal_safe(fleet_file.to_json(found)), nl=False)
        return
    from autotune.cli.page import print_page
    from autotune.present.machine_types import types_page

    print_page(types_page(found))


class FleetLines:
    """Events as lines on standard error, each after its machine type."""

    def __init__(self, verbosity: int) -> None:
        """As `autotune.cli.lines.Lines`."""
        from autotune.cli.lines import Lines

        self._verbosity, self._make = verbosity, Lines
        self._lines: dict[str, Lines] = {}

    def observe(self, machine: str, event: "Event") -> None:
        """Write the event, if it is of interest."""
        if machine not in self._lines:
            self._lines[machine] = self._make(
                lambda text: self._write(f"{machine}: {text}" if machine else text), self._verbosity
            )
        self._lines[machine].observe(event)

    def _write(self, text: str) -> None:
        from autotune.cli.foreign import clean

        sys.stderr.write(f"{clean(text)}\n")
        sys.stderr.flush()


def _write_manifest(path: Path, types: list[str], arguments: list[str]) -> int:
    from autotune.cli.foreign import clean
    from autotune.fleet.manifests import parse_machine_type, ray_cluster_yaml
    from autotune.reports.writing import write_report

    parsed = [parse_machine_type(text) for text in types]
    named = dict(parsed)
    if len(named) < len(parsed):
        raise UsageError("--machine-type: a type is named twice")
    write_report(path, ray_cluster_yaml(named).encode(), "--kubernetes")
    typer.echo(f"Written to {clean(str(path))}; next: name the image in it, then")
    typer.echo(clean(f"  kubectl apply -f {shlex.quote(str(path))}"))
    command = shlex.join(["autotune", "fleet", *arguments, "--ray", "auto"])
    typer.echo(clean(f"  in the head pod, where the model lies: {command}"))
    return ExitCode.ANSWERED
