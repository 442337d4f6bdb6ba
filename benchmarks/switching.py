"""An engine that follows the load against every fixed configuration of its policy, and the default.

`python benchmarks/switching.py [FILE [MODEL]] [--seconds 60] [--rounds 5]` takes a tuned file and
its model, model.autotune.json and magika: unless told otherwise (`autotune search magika: --slo
50ms` makes that file). A drawn trace goes up and down in steps and has spikes; its loads are shares
of the highest load at which the file's SLO is met. In each round all sides serve the same arrivals,
one after the other, and chance decides the order. Requests are submitted by a thread of this
process, open-loop: each at its time, whatever became of those before. What that costs (its CPU
time, and how late it is) stands below the table. Latency counts from the scheduled arrival; a
request without an answer is over the SLO. CPU time is that of this process and its children without
the submitting thread, from before sessions are opened until all are closed, so opening counts.
"""

import argparse
import gc
import math
import resource
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fresh import spread

from autotune import config_file
from autotune.arrivals import Traffic, draw
from autotune.embed import levels_of
from autotune.engine.follow import Level, Switch
from autotune.engine.live import Admission, LiveEngine
from autotune.engine.source import Tensors
from autotune.given import make_model
from autotune.models.live_replicas import open_following
from autotune.models.loading import open_replica
from autotune.models.sample_inputs import make_samples
from autotune.outcome import Samples
from autotune.promise import loading_of, request_shapes
from autotune.spec import ModelSpec, ServingConfig
from autotune.stages.drive import order_of_round

STEPS = (
    *((0.15, 8.0), (0.6, 8.0), (0.15, 14.0)),
    *((0.95, 1.5), (0.15, 3.0), (0.95, 1.5), (0.15, 3.0)),
    *((0.4, 6.0), (0.95, 6.0), (0.7, 4.0), (0.1, 5.0)),
)
"""Share of the highest load, and for how long of a minute."""
FOLLOWING = "**following**"
NO_ANSWER_S = 30.0
"""After the last arrival, whatever is unanswered stays so."""


class Question(NamedTuple):
    """What all sides have in common."""

    model: ModelSpec
    samples: list[Tensors]
    levels: list[Level]
    default: ServingConfig
    slo_s: float


class Ran(NamedTuple):
    """One side's run."""

    latency_s: Samples
    """Of each request, in order of arrival; infinite where there was no answer."""
    cpu_s: float
    submitting_cpu_s: float
    late_s: Samples
    """How long after its arrival each was submitted."""
    switches: list[Switch]


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="model.autotune.json")
    parser.add_argument("model", nargs="?", default="magika:")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the trace")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    tuned = config_file.read(Path(given.file))
    question = asked(tuned, given.model)
    top_rps = max((one.load_rps for one in tuned.policy if one.meets_slo), default=0.0)
    if not top_rps:
        raise SystemExit(f"{given.file}: no load meets the SLO, so there is nothing to follow")
    sides = sides_of(question)
    found: dict[str, list[Ran]] = {name: [] for name in sides}
    for number in range(given.rounds):
        arrivals_s = trace(top_rps, given.seconds, number)
        for turn in order_of_round(len(sides), number, (11,)):
            name = list(sides)[turn]
            found[name].append(serve(question, sides[name], arrivals_s))
    print(f"Loads up to {STEPS[-3][0] * top_rps:.3g} requests/s, SLO {tuned.slo}.\n")
    print_table(question, found)


def asked(tuned: config_file.TunedFile, name: str) -> Question:
    """Return the question: the model with requests for it, and the policy."""
    loading = loading_of(tuned, trust_pickle=False)
    model = make_model(name, request_shapes(tuned), None, None, 0, loading)
    levels = levels_of(tuned.policy)
    loaded = open_replica(model, levels[0].config.session_shape)
    samples = make_samples(loaded.inputs, model, loaded.own)
    default = levels[0].config.default
    return Question(model, samples, levels, default, tuned.slo.latency_ms / 1000)


def sides_of(question: Question) -> dict[str, list[Level]]:
    """Return what is compared: several levels are followed, one is fixed."""
    configs = dict.fromkeys([*(one.config for one in question.levels), question.default])
    fixed = {config.describe(): [Level(math.inf, config)] for config in configs}
    return {FOLLOWING: question.levels} | fixed


def trace(top_rps: float, seconds: float, number: int) -> Samples:
    """Return when requests arrive, by a Poisson process whose load steps and spikes."""
    scale = seconds / sum(step_s for _, step_s in STEPS)
    parts, began_s = list[Samples](), 0.0
    for place, (share, step_s) in enumerate(STEPS):
        part = draw(Traffic(load_rps=share * top_rps), step_s * scale, (12, number, place))
        parts.append(began_s + part)
        began_s += step_s * scale
    return np.concatenate(parts)


def open_side(question: Question, levels: Sequence[Level]) -> LiveEngine:
    """Open an engine, warm, that follows or stays."""
    replicas, following = open_following(question.model, levels, 0)
    config = levels[0].config
    return LiveEngine(
        replicas.infers,
        config.max_batch_size,
        config.batch_timeout_ms / 1000,
        Admission(1 << 20, replicas.names),
        replicas.prepared.upkeep,
        following if len(levels) > 1 else None,
    )


def serve(question: Question, levels: Sequence[Level], arrivals_s: Samples) -> Ran:
    """Let one side serve a trace."""
    gc.collect()
    before_s = used_s()
    engine = open_side(question, levels)
    ended_s = np.full(len(arrivals_s), math.inf)
    late_s = np.zeros(len(arrivals_s))
    submitting_s = list[float]()

    def submit_all() -> None:
        submitting_s.append(-time.thread_time())
        for place, arrival_s in enumerate(arrivals_s.tolist()):
            wait_s = began_s + arrival_s - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            late_s[place] = time.perf_counter() - began_s - arrival_s
            future = engine.submit(question.samples[place % len(question.samples)])
            future.add_done_callback(partial(note, place))
        submitting_s.append(time.thread_time())

    def note(place: int, future: "Future[Tensors]") -> None:
        if future.exception() is None:
            ended_s[place] = time.perf_counter() - began_s

    began_s = time.perf_counter()
    thread = threading.Thread(target=submit_all, name="submit")
    thread.start()
    thread.join()
    engine.close(timeout_s=NO_ANSWER_S)
    submitting_cpu_s = sum(submitting_s)
    cpu_s = used_s() - before_s - submitting_cpu_s
    return Ran(ended_s - arrivals_s, cpu_s, submitting_cpu_s, late_s, engine.switches())


def used_s() -> float:
    """Return the CPU seconds of this process and of those of its children that have ended."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def print_table(question: Question, found: dict[str, list[Ran]]) -> None:
    """Print medians over the rounds, with the lowest and the highest."""
    print("| side | in SLO % | p50 ms | p99 ms | CPU s | switches | opening ms |")
    print("|---|---|---|---|---|---|---|")
    for name, runs in found.items():
        in_slo = [100 * float((run.latency_s <= question.slo_s).mean()) for run in runs]
        p50_ms, p99_ms = (
            [1e3 * float(np.percentile(run.latency_s, q, method="higher")) for run in runs]
            for q in (50, 99)
        )
        opening_ms = [
            1e3 * one.prepare_s for run in runs for one in run.switches if one.prepare_s > 0
        ]
        switches = [float(len(run.switches)) for run in runs]
        cells = [name, *map(spread, (in_slo, p50_ms, p99_ms, [run.cpu_s for run in runs]))]
        cells += [spread(switches) if name == FOLLOWING else ""]
        cells += [spread(opening_ms) if opening_ms else ""]
        print(f"| {' | '.join(cells)} |")
    runs = [run for side in found.values() for run in side]
    each_us = 1e6 * np.median([run.submitting_cpu_s / len(run.late_s) for run in runs])
    late_ms = 1e3 * float(np.percentile(np.concatenate([run.late_s for run in runs]), 99))
    print(
        f"\nSubmitting takes {each_us:.0f} us of CPU time a request, which is in no side's account,"
        f"\nand is {late_ms:.2g} ms late at p99, which is in every side's latencies."
    )


if __name__ == "__main__":
    main()
