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
from pathlib import Path

from ways import even_split, layout_of, measured, print_table, search_anew

from autotune import tune
from autotune.spec import RUNTIME_DEFAULT, ServingConfig
from autotune.stages.question import Keeping, Learning, Question
from autotune.together.asked import read_services
from autotune.together.measuring import Layout
from autotune.together.question import Service


def main() -> None:
    """Search, measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("services", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--budget-s", type=float, default=None)
    given = parser.parse_args()
    services = read_services(given.services, seed=1)
    question, joint, joint_s = search_anew(services, given.budget_s)
    began_s = time.monotonic()
    ways = {
        "default": Layout((RUNTIME_DEFAULT,) * len(services), None),
        "alone": Layout(tuple(_alone(one) for one in services), None),
        "even split": even_split(len(services)),
        "together": layout_of(joint.recommended),
    }
    alone_s = time.monotonic() - began_s
    rounds = measured(question, ways, given.rounds, given.seconds)
    print(f"\nSearched together in {joint_s:.0f} s, each alone in {alone_s:.0f} s altogether.")
    print_table(question, ways, rounds)


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


if __name__ == "__main__":
    main()
