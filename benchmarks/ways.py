"""Ways to place several models on one machine, measured in turn, and their table."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autotune.probes.cores import usable_cores
from autotune.probes.topology import parse_cpus
from autotune.records import Failed
from autotune.spec import ServingConfig
from autotune.stages.drive import order_of_round
from autotune.stages.question import Keeping
from autotune.stats.summary import summarize
from autotune.together.benches import Benches
from autotune.together.joints import split
from autotune.together.make import search_together
from autotune.together.measuring import Layout, Run, Windows
from autotune.together.question import Service, TogetherQuestion
from autotune.together.records import Placed, TogetherFile

Ways = dict[str, Layout]


class Seen(NamedTuple):
    """One way in one round."""

    missed: float
    """Share of requests, of all services."""
    worst: float
    """Of the services' p99 over its SLO; infinite: so many were lost."""
    cores: float
    """That are busy."""


def search_anew(
    services: tuple[Service, ...], budget_s: float | None = None
) -> tuple[TogetherQuestion, TogetherFile, float]:
    """Search for all, whatever is known; return what was asked, what was found, and the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        keeping = Keeping(store=Path(folder) / "store.sqlite")
        question = TogetherQuestion(
            services=services, budget_s=budget_s, seed=1, output=None, keeping=keeping
        )
        began_s = time.monotonic()
        found = search_together(question)
        return question, found, time.monotonic() - began_s


def even_split(count: int) -> Layout:
    """Return a session each, with as many threads as it has cores of its own."""
    shares = split(usable_cores().usable, np.ones(count))
    configs = [ServingConfig(intra_op_threads=one, spinning=one > 1) for one in shares]
    return Layout(tuple(configs), shares)


def layout_of(placed: Sequence[Placed]) -> Layout:
    """Return what is recommended as it is measured."""
    owned = [one.cpus for one in placed]
    shares = tuple(len(parse_cpus(cpus)) for cpus in owned if cpus is not None)
    return Layout(tuple(one.config for one in placed), shares or None)


def measured(
    question: TogetherQuestion, ways: Ways, rounds: int, seconds: float
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


def print_table(question: TogetherQuestion, ways: Ways, rounds: Sequence[dict[str, Seen]]) -> None:
    """Print the ways, with the median and the range of rounds; `default` must be among them."""
    print("| way | configurations | missed their SLO | worst p99 / SLO | cores / the defaults' |")
    print("|" + "---|" * 5)
    for way, layout in ways.items():
        missed = _spread([one[way].missed for one in rounds], 100, " %")
        worst = _spread([one[way].worst for one in rounds])
        cores = _spread([one[way].cores / one["default"].cores for one in rounds])
        names = [model.name for model in question.models]
        placed = "; ".join(
            f"{one.model} {one.config.describe()}" + (f" on CPU {one.cpus}" if one.cpus else "")
            for one in layout.placed(names)
        )
        print(f"| {way} | {placed} | {missed} | {worst} | {cores} |")


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
    low, middle, high = (times * pick(values) for pick in (min, statistics.median, max))
    return f"{middle:.3g}{unit} ({low:.3g} to {high:.3g})"
