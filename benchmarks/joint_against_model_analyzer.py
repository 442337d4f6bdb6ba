"""A joint search against Model Analyzer's multi-model quick search, both run for real.

    python benchmarks/joint_against_model_analyzer.py services.toml \
        --pytriton PYTRITON --model-analyzer ANALYZER

The file of services is as `autotune search` takes it, without chains; its loads are not used. Model
Analyzer profiles all models concurrently on one tritonserver, with a load generator each, and looks
for the highest throughput with each p99 within its SLO. Then, at shares of the throughputs that it
reported, a joint search looks for its answer, and Model Analyzer's, that answer, an even split and
the runtime's defaults are measured in turn under the same Poisson arrivals in autotune's engine.

`against_model_analyzer.py` says what its programs need and what does not compare. For several
models they need MPI as well: `apt-get install openmpi-bin libopenmpi-dev`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import structs
from rival_model_analyzer import Rival, add_tool_options, rival_of
from ways import Ways, even_split, layout_of, measured, print_table, search_anew

from autotune.spec import RUNTIME_DEFAULT
from autotune.together.asked import read_services
from autotune.together.measuring import Layout
from autotune.together.question import Service, TogetherQuestion


class Answered(NamedTuple):
    """One joint search."""

    question: TogetherQuestion
    ways: Ways
    seconds: float
    measurements: int
    meets_all: bool


def main() -> None:
    """Run both searches, then print what they cost and how their choices serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("services", type=Path)
    add_tool_options(parser)
    parser.add_argument("--shares", default="0.5,0.8", help="of Model Analyzer's throughputs")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each run")
    given = parser.parse_args()
    services = read_services(given.services, seed=1)
    wanted = {one.name: (one.steps[0].model, round(one.slo.latency_ms)) for one in services}
    rival = rival_of(wanted, given)
    _print_rival(rival)
    for share in given.shares.split(","):
        answered = _search(_at(services, rival, float(share)), rival)
        loads = ", ".join(
            f"{one.name} {one.traffic.load_rps:.0f}/s" for one in answered.question.services
        )
        print(
            f"\n{float(share):.0%} of these throughputs: {loads}. Searched together in "
            f"{answered.seconds:.0f} s with {answered.measurements} measurements; its rounds "
            f"{'met' if answered.meets_all else 'did not meet'} every SLO.\n"
        )
        rounds = measured(answered.question, answered.ways, given.rounds, given.seconds)
        print_table(answered.question, answered.ways, rounds)


def _at(services: Sequence[Service], rival: Rival, share: float) -> tuple[Service, ...]:
    """Return the services at a share of the throughput that Model Analyzer saw of each."""
    return tuple(
        structs.replace(
            one,
            traffic=one.traffic.at(share * rival.winners[one.name].throughput_rps),
        )
        for one in services
    )


def _search(services: tuple[Service, ...], rival: Rival) -> Answered:
    question, found, seconds = search_anew(services)
    theirs = tuple(rival.winners[one.name].config for one in services)
    ways = {
        "default": Layout((RUNTIME_DEFAULT,) * len(services), None),
        "even split": even_split(len(services)),
        "Model Analyzer": Layout(theirs, None),
        "together": layout_of(found.recommended),
    }
    return Answered(
        question,
        ways,
        seconds,
        len(found.trials),
        found.contenders[0].meets_all,
    )


def _print_rival(rival: Rival) -> None:
    print(
        f"Model Analyzer: {rival.seconds:.0f} s, {rival.measurements} measurements of "
        f"{rival.configurations} configurations."
    )
    for name, one in rival.winners.items():
        print(
            f"- {name}: {one.config.describe()}: {one.throughput_rps:.0f}/s at p99 "
            f"{one.p99_ms:.1f} ms, {one.in_flight} in flight"
        )


if __name__ == "__main__":
    main()
