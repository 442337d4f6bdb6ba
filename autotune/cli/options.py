"""Options that several commands share: what they are called and what their help says."""

from pathlib import Path
from typing import Annotated

import typer

FileArgument = Annotated[Path, typer.Argument(help="A file that `autotune search` wrote.")]
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="An ONNX file, or package:file inside an installed package (magika: means the "
        "one model in it)."
    ),
]
SloOption = Annotated[str, typer.Option(help="Latency objective with its unit, like 50ms.")]
PercentileOption = Annotated[
    float, typer.Option(help="Share of requests, in %, that must be within the SLO.")
]
LoadOption = Annotated[str | None, typer.Option(help="One load in requests/s.")]
ArrivalsOption = Annotated[
    str | None,
    typer.Option(
        help="How requests arrive: poisson, constant, bursty:FACTOR (bursts of so many times "
        "the load that carry half of all requests) or gaps:DURATION (spells at the load, each "
        "followed by as long a silence). [default: poisson; of a tuned file, what it says]"
    ),
]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        help="CSV of recorded arrivals, in seconds, first column; with a load, scaled to it."
    ),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(help="Shape of one request, like images=1x3x320x320. Repeat per input."),
]
InputOption = Annotated[
    Path | None, typer.Option(help="An .npz file with one request's arrays by input name.")
]
RequestsOption = Annotated[
    Path | None,
    typer.Option(
        help="CSV of several kinds of requests: weight,shape or weight,input (.npz), one line each."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of arrivals and sample inputs.")]
FileSeedOption = Annotated[
    int | None,
    typer.Option(help="Seed of arrivals and sample inputs. [default: what the file says]"),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result alone, as JSON, on stdout.")
]
