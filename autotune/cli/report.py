"""`autotune report`: a tuned file as a page, a picture, or a summary for a pull request."""

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.options import FileArgument
from autotune.errors import UsageError

SUFFIX = ".autotune.json"


def report(
    file: FileArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="HTML page to write. [default: MODEL.report.html]"),
    ] = None,
    picture: Annotated[
        str,
        typer.Option(
            help="Which picture --png and --svg write: latency, policy, distribution-1 (of the "
            "lowest load; -2 ...), parts, lattice, regret or prediction."
        ),
    ] = "latency",
    png: Annotated[Path | None, typer.Option(help="Write one picture as PNG.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write one picture as SVG.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a summary for a pull request.")
    ] = False,
) -> None:
    """Turn a tuned file into something to look at: one HTML page that needs no network.

    With --png, --svg or --markdown the page is written only where --output asks for it.
    """
    from autotune import config_file
    from autotune import report as room

    tuned = config_file.read(file)
    if output is None and png is None and svg is None and not markdown:
        output = Path(file.name.removesuffix(SUFFIX).removesuffix(".json") + ".report.html")
    if png is not None:
        _write(png, room.png(room.choose(tuned, picture)))
    if svg is not None:
        _write(svg, room.svg(room.choose(tuned, picture)).encode())
    if output is not None:
        _write(output, room.page(tuned).encode())
    if markdown:
        typer.echo(room.markdown(tuned), nl=False)


def _write(path: Path, data: bytes) -> None:
    if path.name.endswith(".json"):
        raise UsageError(
            f"{path}: a report is no JSON, and a tuned file of this name would be lost"
        )
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    typer.echo(f"Written to {path}", err=True)
