"""`autotune measure`: flags -> MeasureQuestion -> tune.measure -> verdict, histogram, parts."""

from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli import completions
from autotune.cli.exit_codes import ExitCode, of_measurement
from autotune.cli.flags import (
    parse_config,
    parse_model,
    parse_other,
    parse_slo,
    parse_traffics,
    verbosity_of,
)
from autotune.cli.options import (
    OBJECTIVE,
    AllowSharedOption,
    ArrivalsOption,
    ChannelsLastOption,
    DryRunOption,
    InputOption,
    JsonOption,
    LoadOption,
    ModelArgument,
    PercentileOption,
    QuietOption,
    RequestsOption,
    SeedOption,
    ShapeOption,
    SloOption,
    StoreOption,
    TraceOption,
    TrustPickleOption,
    VerboseOption,
)
from autotune.errors import UsageError
from autotune.given import Loading, check_confidence, check_day
from autotune.units import parse_duration_s, parse_percent

if TYPE_CHECKING:
    from autotune.stages.question import MeasureQuestion

CONFIGURATION = "Configuration (the runtime's default, but for)"


def measure(
    model: ModelArgument,
    slo: SloOption,
    load: LoadOption = None,
    replicas: Annotated[
        int,
        typer.Option(
            metavar="N", help="Loaded copies of the model.", rich_help_panel=CONFIGURATION
        ),
    ] = 1,
    intra_op_threads: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Threads within an operator; 0: the runtime's choice.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = 0,
    inter_op_threads: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Threads across operators, in parallel execution.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = 1,
    execution_mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="sequential or parallel.",
            autocompletion=completions.execution_modes,
            rich_help_panel=CONFIGURATION,
        ),
    ] = "sequential",
    spinning: Annotated[
        bool,
        typer.Option(
            help="Whether idle pool threads burn cycles waiting for work.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = True,
    max_batch_size: Annotated[
        int,
        typer.Option(
            metavar="N", help="Most requests executed together.", rich_help_panel=CONFIGURATION
        ),
    ] = 1,
    batch_timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Longest that a batch's first request waits for company, like 2ms.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = "0",
    replicas_as: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="threads of one process, or processes.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = "threads",
    form: Annotated[
        str,
        typer.Option(
            metavar="FORM",
            help="Of a torch model: as_given, compiled or exported.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = "as_given",
    provider: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="cpu, openvino, xnnpack, dnnl, cuda or tensorrt.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = "cpu",
    devices: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="GPUs that the replicas are spread over.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = 1,
    overlap: Annotated[
        bool,
        typer.Option(
            help="Whether a batch is copied to the GPU while the one before is computed.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = False,
    cuda_graphs: Annotated[
        bool,
        typer.Option(
            help="Whether batches are replayed as CUDA graphs.", rich_help_panel=CONFIGURATION
        ),
    ] = False,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="KNOBS",
            help="A second configuration, measured in turn under the same arrivals: default, or "
            "knobs like replicas=1,intra-op-threads=2,spinning=no.",
            autocompletion=completions.compared,
            rich_help_panel=CONFIGURATION,
        ),
    ] = None,
    percentile: PercentileOption = "99",
    confidence: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="Of PASS and of FAIL.", rich_help_panel=OBJECTIVE),
    ] = "99",
    duration: Annotated[
        str,
        typer.Option(metavar="DURATION", help="Most time to measure; a verdict ends it earlier."),
    ] = "60s",
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    trust_pickle: TrustPickleOption = False,
    channels_last: ChannelsLastOption = True,
    seed: SeedOption = 0,
    store: StoreOption = None,
    allow_shared: AllowSharedOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Measure one configuration at one load, until the SLO is proven met or missed.

    With --compare, two of them, in interleaved rounds under the same arrivals.
    """
    from autotune.stages.question import Keeping, MeasureQuestion

    verbosity = verbosity_of(verbose, quiet)
    config = parse_config(
        {
            "replicas": str(replicas),
            "intra-op-threads": str(intra_op_threads),
            "inter-op-threads": str(inter_op_threads),
            "execution-mode": execution_mode,
            "spinning": "yes" if spinning else "no",
            "max-batch-size": str(max_batch_size),
            "batch-timeout": batch_timeout,
            "replicas-as": replicas_as,
            "form": form,
            "provider": provider,
            "devices": str(devices),
            "overlap": "yes" if overlap else "no",
            "cuda-graphs": "yes" if cuda_graphs else "no",
        }
    )
    confidence_share = check_confidence(
        parse_percent(confidence, "--confidence"), f"--confidence {confidence}"
    )
    duration_s = parse_duration_s(duration, "--duration")
    check_day(duration_s, f"--duration {duration!r}")
    loading = Loading(trust_pickle=trust_pickle, channels_last=channels_last)
    traffics, _ = parse_traffics(load, None, trace, arrivals)
    if traffics is None:
        raise UsageError("say at which load: --load 100, or --trace arrivals.csv")
    question = MeasureQuestion(
        model=parse_model(model, shape, input, requests, seed, loading),
        name=model,
        slo=parse_slo(slo, percentile),
        traffic=traffics[0],
        config=config,
        other=parse_other(compare, config) if compare is not None else None,
        confidence=confidence_share,
        duration_s=duration_s,
        seed=seed,
        keeping=Keeping(store=store, allow_shared=allow_shared),
    )
    if question.other == config:
        raise UsageError("--compare names the same configuration; it has nothing to be compared to")
    if dry_run:
        from autotune.cli.dry_run import plan_measure

        return plan_measure(question, verbosity, json)
    return _run(question, verbosity, json)


def _run(question: "MeasureQuestion", verbosity: int, json: bool) -> int:
    from autotune import tune
    from autotune.cli.live import watch

    try:
        with watch(verbosity) as observe:
            found = tune.measure(question, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted before there was a verdict", err=True)
        return ExitCode.INTERRUPTED
    if json:
        from autotune.tabular import to_json

        typer.echo(to_json(found), nl=False)
    else:
        from autotune.cli.page import print_page
        from autotune.present.measured import measurement_page

        print_page(measurement_page(found))
    return of_measurement(found)
