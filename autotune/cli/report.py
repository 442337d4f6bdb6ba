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

    With --png, --svg or --markdown the page is written only where --output asks for it. Of a
    file for several machine types or models, the page has them all.
    """
    from autotune import config_file, fleet_file
    from autotune.file_head import format_of
    from autotune.reports import choose, page
    from autotune.reports import markdown as as_markdown
    from autotune.reports import png as as_png
    from autotune.reports import svg as as_svg
    from autotune.reports.types_page import fleet_report
    from autotune.together import file as together_file

    page_only = png is None and svg is None and not markdown
    kind = format_of(file)
    of_several = kind in (fleet_file.FORMAT, together_file.FORMAT)
    if of_several and not page_only:
        raise UsageError(f"{file}: holds several tuned files: name one, like {file}#NAME")
    if output is None and page_only:
        output = _page_of(file)
    if of_several and output is not None:
        from autotune.reports.together_page import together_page

        if kind == fleet_file.FORMAT:
            text = fleet_report(fleet_file.read(file))
        else:
            text = together_page(together_file.read(file))
        _write("-o", output, text.encode())
        return
    tuned = config_file.read(file)
    if png is not None:
        _write("--png", png, as_png(choose(tuned, picture)))
    if svg is not None:
        _write("--svg", svg, as_svg(choose(tuned, picture)).encode())
    if output is not None:
        _write("-o", output, page(tuned).encode())
    if markdown:
        typer.echo(as_markdown(tuned), nl=False)


def _page_of(file: Path) -> Path:
    name = file.name.replace(SUFFIX + "#", "-").replace("#", "-")
    return Path(name.removesuffix(SUFFIX).removesuffix(".json") + ".report.html")


def _write(option: str, path: Path, data: bytes) -> None:
    from autotune.cli.foreign import clean
    from autotune.reports.writing import write_report

    typer.echo(f"Written to {clean(str(write_report(path, data, option)))}", err=True)
