"""What lessons save live: searches of real models, taught and blank in turn.

    python benchmarks/learnt.py --rounds 3 magika: other.onnx

Chance decides which of the two goes first. Both answer for the same loads: shares of what one blank
search found to be sustained. Taught means by the starter that comes with autotune, and by blank
searches of the other models named here. What is counted is the search: the measurements that it
made before it settled or ran out of its share of the budget, and when it ended.
"""

import argparse
import math
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import autotune
from autotune import Tuned

SHARES = (0.3, 0.6, 0.9)
BUDGET_S = 45.0


class Run(NamedTuple):
    """One search."""

    measurements: int
    ended_s: float
    """When its last measurement before the confirmation was over."""
    settled: bool
    missed: int
    """Measurements of it that missed the SLO."""
    p99_ms: tuple[float, ...]
    """Of the answer at each load, as confirmed; nan where requests were lost."""


def main() -> None:
    """Search, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", help="as `autotune search` takes them")
    parser.add_argument("--slo-ms", type=float, default=50.0)
    parser.add_argument("--shape", action="append", default=[], help="NAME=1x3x48x192")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    shapes = {
        name: [int(size) for size in sizes.split("x")]
        for name, _, sizes in (one.partition("=") for one in given.shape)
    }
    with tempfile.TemporaryDirectory() as folder:
        first = {one: _first(one, given.slo_ms, shapes, Path(folder)) for one in given.models}
        print("| model | | measurements | ended, s | settled | missed | p99 over the other's |")
        print("|" + "---|" * 7)
        for model in given.models:
            others = [Path(folder) / f"{n}.json" for n, one in enumerate(first) if one != model]
            rounds = [
                _round(model, first[model], given.slo_ms, (shapes, others, seed))
                for seed in range(given.rounds)
            ]
            _tell(model, rounds)


def _first(model: str, slo_ms: float, shapes: dict[str, list[int]], folder: Path) -> list[float]:
    """Search once, blank; keep its lesson, and return the loads to answer for."""
    number = len(list(folder.glob("*.json")))
    tuned = _search(model, slo_ms, shapes, blank=True, seed=99)
    tuned.save(folder / f"{number}.json")
    sustained = tuned.file.search.sustainable_rps
    loads = [share * sustained for share in SHARES]
    return [round(load, 1 - math.floor(math.log10(load))) for load in loads]


def _round(
    model: str,
    loads: list[float],
    slo_ms: float,
    more: tuple[dict[str, list[int]], list[Path], int],
) -> dict[str, Run]:
    shapes, others, seed = more
    sides = [("blank", True, []), ("taught", False, others)]
    random.Random(f"{model} {seed}").shuffle(sides)
    found = {}
    for name, blank, sources in sides:
        tuned = _search(
            model, slo_ms, shapes, loads_rps=loads, blank=blank, learn_from=sources, seed=seed
        )
        found[name] = _run(tuned)
    return found


def _search(model: str, slo_ms: float, shapes: dict[str, list[int]], **asked: object) -> Tuned:
    with tempfile.TemporaryDirectory() as folder:
        return autotune.search(
            model,
            slo_ms=slo_ms,
            shapes=shapes or None,
            budget_s=BUDGET_S,
            store=Path(folder) / "store.sqlite",
            **asked,  # type: ignore[arg-type]
        )


def _run(tuned: Tuned) -> Run:
    searched = [one for one in tuned.file.trials if one.phase == "search"]
    values = [
        one.measured.objective.value_ms if one.measured is not None else None
        for one in tuned.file.policy
    ]
    return Run(
        measurements=len(searched),
        ended_s=max(one.at_s or 0.0 for one in searched),
        settled=tuned.file.search.stopped == "settled",
        missed=sum(one.measured is not None and not one.measured.meets_slo for one in searched),
        p99_ms=tuple(math.nan if one is None else one for one in values),
    )


def _tell(model: str, rounds: Sequence[dict[str, Run]]) -> None:
    for name, other in (("blank", "taught"), ("taught", "blank")):
        runs = [one[name] for one in rounds]
        ratios = [
            float(np.exp(np.nanmean(np.log(np.array(one[name].p99_ms) / one[other].p99_ms))))
            for one in rounds
        ]
        print(
            f"| {Path(model).name} | {name} | {_spread([r.measurements for r in runs])} | "
            f"{_spread([r.ended_s for r in runs])} | {sum(r.settled for r in runs)} of "
            f"{len(runs)} | {sum(r.missed for r in runs)} | {_spread(ratios, 2)} |",
            flush=True,
        )


def _spread(values: Sequence[float], digits: int = 0) -> str:
    middle, low, high = float(np.median(values)), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
