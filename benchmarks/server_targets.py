"""What a search through a server gains over deploying the engine's answer there.

    python benchmarks/server_targets.py MODEL SLO SERVER=PYTHON ... [--loads 20,80] [--budget 80s]

MODEL and SLO are those of `autotune search`, PYTHON the interpreter that has the server. The engine
is searched, then each server from its answer. Where these differ, both serve the same arrivals
through the server in rounds, chance deciding who is first: the ratio of their latencies at the
SLO's percentile is printed with its 95 % interval, and what the second search took.
"""

import argparse
import os
from pathlib import Path

from msgspec.structs import replace

from autotune.arrivals import Traffic
from autotune.config_file import PolicyEntry, TunedFile
from autotune.given import make_model
from autotune.outcome import Measured
from autotune.servers.bench import ServerBench
from autotune.servers.target import find_target
from autotune.servers.through import search
from autotune.spec import Allowed, Slo
from autotune.stages.alone import alone
from autotune.stages.drive import Window, order_of_round, run_trial
from autotune.stages.events import Event, Said
from autotune.stages.question import Keeping, Question
from autotune.stats.judge import Judge
from autotune.stats.paired import compare_latency
from autotune.target_info import TargetLoad
from autotune.units import format_ms, parse_duration_s, parse_load_rps

ROUNDS = 6
WINDOW_S = 5.0


def tell(event: Event) -> None:
    """Print what a person should know."""
    if isinstance(event, Said):
        print(f"    {event.text}")


def in_turn(
    question: Question, engine: TunedFile, load: TargetLoad, entry: PolicyEntry, rounds: int
) -> str:
    """Measure the engine's answer and the server's at one load, and return how they compare."""
    sides = {"engine's": load.config, "server's": entry.config}
    runs: dict[str, list[Measured]] = {side: [] for side in sides}
    judge = Judge(question.slo, load.load_rps, stop_when=frozenset({"diverged"}))
    traffic = Traffic(load_rps=load.load_rps, pattern=question.pattern)
    asked = replace(question, engine=engine)
    with alone(question.keeping, tell), ServerBench(asked, tell) as bench:
        bench.inspect()
        for number in range(rounds):
            window = Window(WINDOW_S, (7, number))
            for place in order_of_round(len(sides), number, (7,)):
                side = list(sides)[place]
                run, _ = run_trial(bench, sides[side], traffic, window, judge)
                if not isinstance(run, Measured):
                    return f"{side} {sides[side].describe()} failed: {run.detail}"
                runs[side].append(run)
    found = compare_latency(runs["server's"], runs["engine's"], question.slo.quantile)
    if found.ratio is None:
        return "either lost too many requests to be compared"
    ends = [f"{end:.2f}" if end is not None else "?" for end in (found.low, found.high)]
    return f"{found.ratio:.2f} ({ends[0]} to {ends[1]}) x the engine's answer there"


def report(question: Question, tuned: TunedFile, rounds: int) -> None:
    """Print what a search through a server found, and what it is worth."""
    engine, target = search(question.of_engine), tuned.target
    assert target is not None
    shares = f"{len(tuned.trials)} trials in {tuned.search.seconds:g} s, {tuned.search.stopped}"
    print(f"\n{target.describe()}: {shares}")
    for load, entry in zip(target.loads, tuned.policy, strict=True):
        times = [
            "?" if one is None else f"{format_ms(one.value_ms)} ms"
            for one in (load.engine, load.server, load.best)
        ]
        print(
            f"  {load.load_rps:g}/s: {load.config.describe()}: {times[0]} in the engine, "
            f"{times[1]} in the server"
        )
        if load.config == entry.config:
            print("    kept")
            continue
        found = in_turn(question, engine, load, entry, rounds)
        print(f"    chosen: {entry.config.describe()}: {times[2]}; in turn: {found}")


def main() -> None:
    """Search and compare for every server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("slo")
    parser.add_argument("servers", nargs="+", metavar="SERVER=PYTHON")
    parser.add_argument("--loads", default="20,80")
    parser.add_argument("--budget", default="80s")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    model = make_model(given.model, {}, None, None, 0)
    loads = [parse_load_rps(one, "--loads") for one in given.loads.split(",")]
    print(f"{given.model}, {os.cpu_count()} cores, SLO {given.slo}, {given.rounds} rounds")
    for pair in given.servers:
        server, _, python = pair.partition("=")
        question = Question(
            model=model,
            name=given.model,
            slo=Slo(latency_ms=1e3 * parse_duration_s(given.slo, "SLO")),
            traffics=[Traffic(load_rps=one) for one in loads],
            budget_s=parse_duration_s(given.budget, "--budget"),
            max_trials=None,
            seed=0,
            output=None,
            keeping=Keeping(store=given.store),
            target=find_target(
                server, Path(python) if python else None, None, None, model, Allowed()
            ),
        )
        report(question, search(question, tell), given.rounds)


if __name__ == "__main__":
    main()
