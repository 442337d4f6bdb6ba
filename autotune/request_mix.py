"""Traffic of several kinds of requests: read from a file of weights, drawn from a seed."""

import math
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import msgspec
import numpy as np

from autotune.csv_rows import read_rows
from autotune.errors import UsageError
from autotune.spec import RequestKind
from autotune.tabular import printable
from autotune.units import parse_shapes

MAX_KINDS = 100
"""Each is held in memory and run before measuring."""
MOST_BYTES = 1_000_000
_COLUMNS = (["shape", "weight"], ["input", "weight"])


def read_requests(path: Path) -> list[RequestKind]:
    """Read kinds of requests from a CSV file with the columns `weight` and `shape` or `input`.

    A shape cell holds one NAME=SIZES per input, separated by spaces; an input cell an .npz file,
    relative to the CSV file's folder. Weights are normalised to sum to 1.

    Raises:
        UsageError: unreadable, no such columns, no kind, more than `MAX_KINDS`, or a cell that is
            missing or wrong; the line is named.
    """
    rows = list(read_rows(path, "--requests", MOST_BYTES))
    if not rows or sorted(rows[0][1]) not in _COLUMNS:
        raise UsageError(
            f"--requests {path}: line {rows[0][0] if rows else 1}: the header must be weight,shape "
            "or weight,input"
        )
    (_, header), *lines = rows
    if not 1 <= len(lines) <= MAX_KINDS:
        raise UsageError(
            f"--requests {path}: has {len(lines)} kinds of requests: give 1 to {MAX_KINDS}, "
            "one per line"
        )
    kinds = [
        _read_kind(header, cells, f"--requests {path}: line {line}:", path.parent)
        for line, cells in lines
    ]
    total = math.fsum(kind.weight for kind in kinds)
    return [msgspec.structs.replace(kind, weight=kind.weight / total) for kind in kinds]


def draw_samples(
    kinds: Sequence[int], weights: Sequence[float], total: int, seed: tuple[int, ...]
) -> list[int]:
    """Return which sample each of `total` requests takes, the same for the same seed.

    Each request's kind is drawn by weight; samples of one kind take turns.

    Args:
        kinds: kind of each sample, 0 to `len(weights) - 1`, each at least once.
        weights: share of each kind, summing to 1.
        total: requests.
        seed: of the draws.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    drawn = rng.choice(len(weights), total, p=weights)
    members = [np.flatnonzero(np.equal(kinds, kind)) for kind in range(len(weights))]
    turns = [count() for _ in weights]
    return [int(members[kind][next(turns[kind]) % len(members[kind])]) for kind in drawn]


def _read_kind(header: list[str], cells: list[str], where: str, folder: Path) -> RequestKind:
    if len(cells) != len(header):
        raise UsageError(f"{where} has {len(cells)} cells, the header {len(header)}")
    row = dict(zip(header, cells, strict=True))
    weight = _read_weight(row["weight"], where)
    if "shape" in row:
        if not row["shape"]:
            raise UsageError(f"{where} the shape is missing: write it like images=1x3x320x320")
        shapes = parse_shapes(row["shape"].split(), where)
        return RequestKind(weight=weight, shapes=shapes, origin=where)
    file = folder / row["input"]
    if not os.path.isfile(file):  # of which no name is too strange to be asked
        raise UsageError(f"{where} {printable(row['input']) or 'the input'}: no such file")
    return RequestKind(weight=weight, input_file=str(file), origin=where)


def _read_weight(text: str, where: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (weight > 0 and math.isfinite(weight)):
        raise UsageError(f"{where} {text!r} is not a weight: write a number above zero, like 80")
    return weight
