"""Which server carries which knob."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from autotune.export.deployment import Exporter, How, Knob

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


def print_servers(exporters: Mapping[str, Exporter]) -> None:
    """Print a table of servers and knobs, then what `almost` and `no` mean for each."""
    console = Console(highlight=False, soft_wrap=False)
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("server", no_wrap=True)
    for head in _HEADS.values():
        table.add_column(head, no_wrap=True)
    table.add_column("tested", no_wrap=True)
    for name, one in exporters.items():
        marks = [_MARKS[one.carried[knob].how] for knob in _HEADS]
        table.add_row(name, *marks, one.proof)
    console.print(table)
    console.print(
        "\nyes: the server's own setting; code: lines of the exported files, which run in the "
        "server.\nrun: proven on the real server; parsed: by a parser of its format alone.\n",
        style="dim",
    )
    for name, one in exporters.items():
        for knob, carried in one.carried.items():
            if carried.how in ("almost", "no"):
                console.print(f"{name}, {_HEADS[knob]}: {carried.by}", markup=False)
