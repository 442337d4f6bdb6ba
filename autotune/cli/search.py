"""`autotune search`: flags -> Question -> search, perhaps through a server -> table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli import completions
from autotune.cli.exit_codes import SEARCHED, ExitCode
from autotune.cli.flags import (
    parse_allowed,
    parse_budget_s,
    parse_model,
    parse_slo,
    parse_traffics,
    verbosity_of,
)
from autotune.cli.options import (
    MEASUREMENTS,
    OBJECTIVE,
    OUTPUT,
    TARGET,
    TRAFFIC,
    AllowSharedOption,
    ArrivalsOption,
    ChannelsLastOption,
    DeviceOption,
    DryRunOption,
    FormsOption,
    FreshOption,
    InputOption,
    JsonOption,
    LoadOption,
    ModelsArgument,
    ObjectiveOption,
    PercentileOption,
    ProvidersOption,
    QuietOption,
    RequestsOption,
    SeedOption,
    ShapeOption,
    StoreOption,
    TraceOption,
    TrustPickleOption,
    VerboseOption,
)
from autotune.cli.together import UNDERSTOOD, are_several, search_several
from autotune.errors import UsageError
from autotune.given import Loading, check_trials, make_objective
from autotune.units import parse_share, parse_watts

if TYPE_CHECKING:
    from autotune.config_file import TunedFile
    from autotune.stages.question import Question


def search(
    context: typer.Context,
    model: ModelsArgument,
    slo: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Latency objective with its unit, like 50ms; of several models, a=20ms,b=100ms.",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    percentile: PercentileOption = "99",
    load: LoadOption = None,
    loads: Annotated[
        str | None,
        typer.Option(
            metavar="LOADS",
            help="Several loads, like 20,80,160. [default: those that matter here]",
            rich_help_panel=TRAFFIC,
        ),
    ] = None,
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="SERVER",
            help="Search through this server, as named for `export`: each configuration is started "
            "there and driven over the wire. [default: the engine itself]",
            autocompletion=completions.servers,
            rich_help_panel=TARGET,
        ),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Python that has the server installed. [default: this one]",
            rich_help_panel=TARGET,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Search through a server that runs already on this machine: where requests are "
            "posted. Needs --apply.",
            rich_help_panel=TARGET,
        ),
    ] = None,
    apply: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Gives the server at --url the configuration that stands in AUTOTUNE_REPLICAS "
            "and so on, and as JSON in the file AUTOTUNE_CONFIG.",
            rich_help_panel=TARGET,
        ),
    ] = None,
    objective: ObjectiveOption = "latency",
    safe: Annotated[
        str | None,
        typer.Option(
            metavar="CHANCE",
            help="Try only what is predicted to miss the SLO with less than this chance, like 5%.",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    incumbent: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A tuned file that serves now, or `default`: measured first, and left only where "
            "the SLO is likely to be kept (see --safe). [default of --safe then: 5%]",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    learn_from: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A tuned file or a store to learn from as well; may be repeated.",
            rich_help_panel=MEASUREMENTS,
        ),
    ] = None,
    blank: Annotated[
        bool,
        typer.Option(
            "--blank",
            help="Learn nothing from earlier searches, but for those of --learn-from.",
            rich_help_panel=MEASUREMENTS,
        ),
    ] = False,
    idle_watts: Annotated[
        str | None,
        typer.Option(
            metavar="WATTS",
            help="What the machine draws at rest, like 45W. [default: read where it can be, else "
            "0.74 W a core]",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    core_watts: Annotated[
        str | None,
        typer.Option(
            metavar="WATTS",
            help="What a core adds while it works, like 6W. [default: likewise, else 2.76 W]",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What says which configuration is measured next: rrl, or what an installed "
            "package brings.",
            autocompletion=completions.strategies,
        ),
    ] = "rrl",
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Time for everything, like 3m. [default: 80s, more for slow models, and what it "
            "takes to open sessions]",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most measurements before the confirmation."),
    ] = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    device: DeviceOption = "cpu",
    providers: ProvidersOption = None,
    forms: FormsOption = None,
    trust_pickle: TrustPickleOption = False,
    channels_last: ChannelsLastOption = True,
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
            help="File to write. [default: MODEL.autotune.json]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Find the best configuration for each load and write it to a file.

    With no load named, the loads that matter are worked out from the profile: from nearly idle
    to just above what the machine can sustain. A search that was ended goes on where it stopped
    when the same is asked again; one that was answered is answered from what was measured then.

    Several models, or a TOML file of services, are searched together: one answer for all, each
    within its SLO under the load of the others.

    Through a server (--target) there are two searches, with the budget each: the engine's own, and
    one that starts from its answer.
    """
    if are_several(model):
        return search_several(model, _given(context), verbosity_of(verbose, quiet))
    if slo is None:
        raise UsageError("search needs --slo, as in autotune search model.onnx --slo 50ms")
    from autotune.servers.target import find_target
    from autotune.stages.question import Keeping, Question, Watts
    from autotune.stages.starting import make_incumbent, make_learning, risk_beside
    from autotune.strategy import plugins

    verbosity = verbosity_of(verbose, quiet)
    asked_slo = parse_slo(slo, percentile)
    traffics, pattern = parse_traffics(load, loads, trace, arrivals)
    loading = Loading(trust_pickle=trust_pickle, channels_last=channels_last)
    spec = parse_model(model[0], shape, input, requests, seed, loading)
    allowed = parse_allowed(device, providers, forms)
    through = find_target(target, python, url, apply, spec, allowed)
    serving = make_incumbent(incumbent, allowed.device)
    question = Question(
        model=spec,
        name=model[0],
        slo=asked_slo,
        traffics=traffics,
        pattern=pattern,
        objective=make_objective(objective),
        max_risk=risk_beside(None if safe is None else parse_share(safe, "--safe"), serving),
        strategy=plugins.check(strategy),
        budget_s=parse_budget_s(budget) if budget is not None else None,
        max_trials=check_trials(trials),
        allowed=allowed,
        seed=seed,
        keeping=Keeping(store=store, fresh=fresh, allow_shared=allow_shared),
        learning=make_learning(learn_from or [], blank),
        incumbent=serving,
        watts=Watts(
            idle=None if idle_watts is None else parse_watts(idle_watts, "--idle-watts"),
            core=None if core_watts is None else parse_watts(core_watts, "--core-watts"),
        ),
        target=through,
        output=output or Path(f"{Path(spec.path).stem}.autotune.json"),
    )
    if dry_run:
        from autotune.cli.dry_run import plan_search

        return plan_search(question, verbosity, json)
    return _run(question, verbosity, json)


def _given(context: typer.Context) -> dict[str, object]:
    """Return the options that were given; of settings, those that mean something for several."""
    found = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        where = "DEFAULT" if source is None else source.name
        if where == "COMMANDLINE" or (where != "DEFAULT" and name in UNDERSTOOD):
            found[name] = value
    return found


def _run(question: "Question", verbosity: int, json: bool) -> int:
    from autotune import config_file
    from autotune.cli.foreign import clean
    from autotune.cli.live import watch
    from autotune.servers import through

    try:
        with watch(verbosity) as observe:
            tuned = through.search(question, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted before there was an answer; nothing was written", err=True)
        return ExitCode.INTERRUPTED
    except config_file.UnwrittenError as error:
        _tell(error.tuned, json)
        raise
    _tell(tuned, json)
    if verbosity >= 0 and not json:
        typer.echo(f"\nWritten to {clean(str(question.output))}")
    return SEARCHED[tuned.status]


def _tell(tuned: "TunedFile", json: bool) -> None:
    if json:
        from autotune import config_file, tabular

        typer.echo(tabular.terminal_safe(config_file.to_json(tuned)), nl=False)
    else:
        from autotune.cli.page import print_answer

        print_answer(tuned)
