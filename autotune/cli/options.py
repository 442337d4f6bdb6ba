"""Options that several commands share: what they are called and what their help says."""

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli import completions

OBJECTIVE, TRAFFIC, REQUESTS, OUTPUT = "Objective", "Traffic", "Requests", "Output"
RUNTIME, MEASUREMENTS, TARGET = "Runtime", "Measurements", "Server"
"""Groups of options in help."""

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A file that `autotune search` wrote.",
        autocompletion=completions.tuned_files,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="An ONNX or torch file, package:file inside an installed package (magika: means the "
        "one model in it), or package.module:function that builds a torch module.",
        autocompletion=completions.models,
    ),
]
ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL",
        help="An ONNX or torch file, package:file inside an installed package (magika: means the "
        "one model in it), or package.module:function that builds a torch module. Several, or a "
        "TOML file of services, are searched together.",
        autocompletion=completions.models,
    ),
]
SloOption = Annotated[
    str,
    typer.Option(
        metavar="DURATION",
        help="Latency objective with its unit, like 50ms or 0.05s.",
        rich_help_panel=OBJECTIVE,
    ),
]
ObjectiveOption = Annotated[
    str,
    typer.Option(
        metavar="WHAT",
        help="What to find: latency (lowest), capacity (highest load within the SLO), cpu, "
        "cores or energy (least within the SLO).",
        autocompletion=completions.objectives,
        rich_help_panel=OBJECTIVE,
    ),
]
PercentileOption = Annotated[
    str,
    typer.Option(
        metavar="PERCENT",
        help="Share of requests that must be within the SLO, like 99 or p99.9.",
        rich_help_panel=OBJECTIVE,
    ),
]
LoadOption = Annotated[
    str | None,
    typer.Option(
        metavar="LOAD", help="One load in requests/s, like 80rps.", rich_help_panel=TRAFFIC
    ),
]
ArrivalsOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="How requests arrive: poisson, constant, bursty:FACTOR (bursts of so many times "
        "the load that carry half of all requests) or gaps:DURATION (spells at the load, each "
        "followed by as long a silence). [default: poisson; of a tuned file, what it says]",
        autocompletion=completions.arrivals,
        rich_help_panel=TRAFFIC,
    ),
]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Recorded arrivals, in seconds, first column; with a load, scaled to it.",
        rich_help_panel=TRAFFIC,
    ),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=SIZES",
        help="Shape of one request, like images=1x3x320x320, or ids=1x128:int64 where a torch "
        "model does not say its type. Repeat per input.",
        rich_help_panel=REQUESTS,
    ),
]
InputOption = Annotated[
    Path | None,
    typer.Option(
        metavar="NPZ",
        help="One request's arrays by input name, as np.savez writes them.",
        rich_help_panel=REQUESTS,
    ),
]
RequestsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Several kinds of requests: weight,shape or weight,input (.npz), one line each.",
        rich_help_panel=REQUESTS,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where the model runs: cpu, cuda, or GPUs like cuda:0,cuda:1.",
        rich_help_panel=RUNTIME,
    ),
]
ProvidersOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="ONNX Runtime's execution providers that may be tried, like openvino,xnnpack. "
        "[default: all that are installed]",
        rich_help_panel=RUNTIME,
    ),
]
FormsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="How a torch model may be executed beside as it is: compiled (torch.compile), "
        "exported (and compiled ahead by AOTInductor), or both.",
        rich_help_panel=RUNTIME,
    ),
]
TrustPickleOption = Annotated[
    bool,
    typer.Option(
        "--trust-pickle",
        help="Load a pickled torch module, which runs code that the file names.",
        rich_help_panel=RUNTIME,
    ),
]
ChannelsLastOption = Annotated[
    bool,
    typer.Option(
        help="Whether a torch model keeps the channels of images last.", rich_help_panel=RUNTIME
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(metavar="N", help="Seed of arrivals and sample inputs.", rich_help_panel=REQUESTS),
]
FileSeedOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Seed of arrivals and sample inputs. [default: what the file says]",
        rich_help_panel=REQUESTS,
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where measurements are kept. [default: ~/.local/share/autotune/store.sqlite]",
        rich_help_panel=MEASUREMENTS,
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start over, whatever the store has of this search.",
        rich_help_panel=MEASUREMENTS,
    ),
]
AllowSharedOption = Annotated[
    bool,
    typer.Option(
        "--allow-shared",
        help="Measure while another autotune on this machine does, instead of waiting for it.",
        rich_help_panel=MEASUREMENTS,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say what would be measured and for how long, and measure nothing.",
        rich_help_panel=OUTPUT,
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Report more on the way.", rich_help_panel=OUTPUT),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "-q", "--quiet", help="Print the answer, errors and warnings only.", rich_help_panel=OUTPUT
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the result alone, as JSON, on stdout.", rich_help_panel=OUTPUT
    ),
]
CsvOption = Annotated[
    bool,
    typer.Option("--csv", help="Print a table alone, as CSV, on stdout.", rich_help_panel=OUTPUT),
]
TrialsOption = Annotated[
    bool,
    typer.Option(
        "--trials",
        # The longer name is what settings files use: a search's `trials` is a number.
        "--all-trials",
        help="Every measurement instead, one row each.",
        rich_help_panel=OUTPUT,
    ),
]
