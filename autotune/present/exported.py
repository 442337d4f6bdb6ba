"""An export, and which server carries which knob, as pages."""

from collections.abc import Mapping
from pathlib import Path

from autotune.exports.deployment import Deployment, Exporter, How, Knob
from autotune.exports.exporters import Export
from autotune.present.document import BLANK, Column, Document, Line, Row, Table

_MARKS: dict[How, str] = {"setting": "yes", "code": "code", "almost": "almost", "no": "no"}
_HEADS: dict[Knob, str] = {
    "replicas": "replicas",
    "intra_op_threads": "intra-op",
    "inter_op_threads": "inter-op",
    "execution_mode": "mode",
    "spinning": "spin",
    "max_batch_size": "batch",
    "batch_timeout_ms": "wait",
}
_OTHERS: dict[Knob, str] = {
    "replicas_as": "processes",
    "form": "form",
    "provider": "provider",
    "devices": "GPUs",
    "overlap": "overlap",
    "cuda_graphs": "CUDA graphs",
}
"""Knobs without a column: few configurations have them."""
_SELDOM: tuple[Knob, ...] = ("inter_op_threads", "execution_mode")
"""Of narrow windows they are left out: few models gain from them."""


def export_page(deployment: Deployment, exported: Export, folder: Path | None) -> Document:
    """Return what is deployed, the files, what is not carried, and what to do next."""
    where = "" if folder is None else f", in {folder}"
    return [
        Line(
            f"{deployment.config.describe()}, for up to {deployment.load_rps:g} requests/s, "
            f"{deployment.slo}",
            "strong",
        ),
        *(Line(f"  {name if folder is None else folder / name}") for name in exported.files),
        *(Line(f"not carried: {text}", "doubt") for text in exported.not_carried),
        Line(f"next{where}:"),
        *(Line(f"  {text}") for text in exported.next_steps),
    ]


def servers_page(exporters: Mapping[str, Exporter]) -> Document:
    """Return a table of servers and knobs, then what `almost` and `no` mean for each."""
    columns = (
        Column("server", right=False),
        *(Column(_HEADS[knob], right=False, spare=int(knob in _SELDOM)) for knob in _HEADS),
        Column("tested", right=False),
    )
    rows = [
        Row([name, *(_MARKS[one.carried[knob].how] for knob in _HEADS), one.proof])
        for name, one in exporters.items()
    ]
    return [
        Table(columns, rows),
        BLANK,
        Line(
            "yes: the server's own setting; code: lines of the exported files, which run in the "
            "server.",
            "dim",
        ),
        Line("run: proven on the real server; parsed: by a parser of its format alone.", "dim"),
        BLANK,
        *(Line(f"{', '.join(names)}; {what}") for what, names in _shortcomings(exporters).items()),
    ]


def _shortcomings(exporters: Mapping[str, Exporter]) -> dict[str, list[str]]:
    """Return what is carried almost or not at all, and by which servers alike."""
    heads, found = _HEADS | _OTHERS, dict[str, list[str]]()
    for knob in heads:
        for name, one in exporters.items():
            if one.carried[knob].how in ("almost", "no"):
                found.setdefault(f"{heads[knob]}: {one.carried[knob].by}", []).append(name)
    return found
