"""Two models on one machine: tuned together against tuned alone, an even split and the defaults.

    python benchmarks/models_together.py services.toml --rounds 8 --seconds 6

The file of services is as `autotune search` takes it, without chains. Each model is tuned by a
search of its own at its load, with the machine to itself (`alone`), and all by one joint search
(`together`); then the ways are measured in turn under the same arrivals, in an order that chance
decides. Shown is the share of requests that missed their SLO, the worst service's p99 over its SLO,
and the cores used over the defaults' in the same round: the median and the range of rounds.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autotune import tune
from autotune.probes.cores import usable_cores
from autotune.probes.topology import parse_cpus
from autotune.records import Failed
from autotune.spec import RUNTIME_DEFAULT, ServingConfig
from autotune.stages.drive import order_of_round
from autotune.stages.question import Keeping, Learning, Question
from autotune.stats.summary import summarize
from autotune.together.asked import read_services
from autotune.together.benches import Benches
from autotune.together.joints import split
from autotune.together.make import search_together
from autotune.together.measuring import Layout, Run, Windows
from autotune.together.question import Service, TogetherQuestion
from autotune.together.records import Placed


class Seen(NamedTuple):
    """One way in one round."""

    missed: float
    worst: float
    cores: float


def main() -> None:
    """Search, measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("services", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--budget-s", type=float, default=None)
    given = parser.parse_args()
    services = read_services(given.services, seed=1)
    began_s = time.monotonic()
    question = TogetherQuestion(services=services, budget_s=given.budget_s, seed=1, output=None)
    joint = search_together(question)
    joint_s = time.monotonic() - began_s
    ways = {
        "default": Layout((RUNTIME_DEFAULT,) * len(services), None),
        "alone": Layout(tuple(_alone(one) for one in services), None),
        "even split": _even(len(services)),
        "together": _of(joint.recommended),
    }
    alone_s = time.monotonic() - began_s - joint_s
    rounds = _measured(question, ways, given.rounds, given.seconds)
    print(f"\nSearched together in {joint_s:.0f} s, each alone in {alone_s:.0f} s altogether.")
    print("| way | configurations | missed their SLO | worst p99 / SLO | cores / the defaults' |")
    print("|" + "---|" * 5)
    for way, layout in ways.items():
        missed = _spread([one[way].missed for one in rounds], 100, " %")
        worst = _spread([one[way].worst for one in rounds])
        cores = _spread([one[way].cores / one["default"].cores for one in rounds])
        names = [service.steps[0].name for service in services]
        placed = "; ".join(
            f"{one.model} {one.config.describe()}" + (f" on CPU {one.cpus}" if one.cpus else "")
            for one in layout.placed(names)
        )
        print(f"| {way} | {placed} | {missed} | {worst} | {cores} |")


def _alone(service: Service) -> ServingConfig:
    """Return what a search finds for one service that has the machine to itself."""
    with tempfile.TemporaryDirectory() as folder:
        found = tune.search(
            Question(
                model=service.steps[0].model,
                name=service.name,
                slo=service.slo,
                traffics=[service.traffic],
                budget_s=None,
                max_trials=None,
                seed=1,
                output=None,
                keeping=Keeping(store=Path(folder) / "store.sqlite"),
                learning=Learning(blank=True),
            )
        )
    return found.recommended


def _even(count: int) -> Layout:
    shares = split(usable_cores().usable, np.ones(count))
    configs = [ServingConfig(intra_op_threads=one, spinning=one > 1) for one in shares]
    return Layout(tuple(configs), shares)


def _of(placed: Sequence[Placed]) -> Layout:
    """Return what is recommended as it is measured."""
    owned = [one.cpus for one in placed]
    shares = tuple(len(parse_cpus(cpus)) for cpus in owned if cpus is not None)
    return Layout(tuple(one.config for one in placed), shares or None)


def _measured(
    question: TogetherQuestion, ways: dict[str, Layout], rounds: int, seconds: float
) -> list[dict[str, Seen]]:
    """Measure all ways in turn."""
    found = []
    models = question.models
    with Benches([one.spec for one in models], [False] * len(models)) as benches:
        windows = Windows(question, benches)
        for number in range(rounds):
            order = order_of_round(len(ways), number, (7,))
            seen: dict[str, Seen] = {}
            for place in order:
                way = list(ways)[place]
                outcome = windows.measure(ways[way], seconds, (7, number))
                if isinstance(outcome, Failed):
                    raise SystemExit(f"{way}: {outcome.kind}: {outcome.detail}")
                seen[way] = _seen(question.services, outcome)
            found.append(seen)
    return found


def _seen(services: Sequence[Service], run: Run) -> Seen:
    sides = [
        summarize([one], service.slo) for service, one in zip(services, run.services, strict=True)
    ]
    requests = sum(one.requests for one in sides)
    missed = sum((1 - one.slo_attainment) * one.requests for one in sides) / requests
    worst = max(
        float("inf")
        if one.objective.value_ms is None
        else one.objective.value_ms / s.slo.latency_ms
        for one, s in zip(sides, services, strict=True)
    )
    return Seen(missed, worst, run.cores_used)


def _spread(values: Sequence[float], times: float = 1.0, unit: str = "") -> str:
    low, middle, high = (times * float(np.quantile(values, q)) for q in (0.0, 0.5, 1.0))
    return f"{middle:.3g}{unit} ({low:.3g} to {high:.3g})"


if __name__ == "__main__":
    main()
