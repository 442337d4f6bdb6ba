"""A fleet of 1, 2 and 4 node processes on machines on paper: time and measurements by machine type.

    python benchmarks/fleet_search.py [--fleets 1,2,4] [--kills 3] [--pause 0.2] [--seeds 3]

Real Ray nodes on this machine, each of a machine type of its own; searches are the ordinary ones
over simulated answers (`fleet_machines`), of which each takes `--pause` seconds, and each type is
half as fast again as the one before. Side by side, then one after the other (`--at-once 1`), where
the n-th type learns from those before it. Then nodes are killed at random moments, with a twin
each: what was kept before and is not afterwards is lost. Last, three types of eight cores, whose
law no profile shows, side by side, with and without lessons passed on while they are searched;
nobody knows those that come with autotune. `fleet_lessons` does so where the truth is known.
"""

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from fleet_machines import ByType, PaperSearch

from autotune.arrivals import Traffic
from autotune.fleet.cluster import RayCluster, connected
from autotune.fleet.search import FleetQuestion, search
from autotune.fleet_file import FleetFile
from autotune.lesson import Lesson
from autotune.outcome import Samples
from autotune.spec import ModelSpec, Slo
from autotune.stages.events import Event, Profiled, Said, Tried
from autotune.stages.question import Keeping, Question

HERE = Path(__file__).parent
LOADS_RPS = (40.0, 130.0)
ODD_LOADS_RPS = (60.0, 300.0, 450.0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleets", default="1,2,4")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.2)
    parser.add_argument("--seeds", type=int, default=3, help="with lessons and without")
    given = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    below = [str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, below))
    counts = [int(one) for one in given.fleets.split(",") if one]
    if counts:
        heads = ["measurements of the search", "of the confirmation"]
        print(f"| types | at once | whole, s | type | {' | '.join(heads)} |")
        print("|---:|---:|---:|---|---:|---:|")
    for count in counts:
        for at_once in (None, 1) if count > 1 else (None,):
            _side_by_side(count, at_once, given.pause)
    if given.kills:
        _killed(given.kills, given.pause)
    if given.seeds:
        _taught(given.seeds)


def _side_by_side(count: int, at_once: int | None, pause_s: float) -> None:
    with _cluster([f"type-{number}" for number in range(count)]) as (address, _, folder):
        how = ByType(PaperSearch(pause_s=pause_s))
        with connected(address) as cluster:
            asked = FleetQuestion(_question(folder), at_once=at_once, search=how)
            fleet = search(asked, cluster, lambda machine, event: None)
    for machine in fleet.machines:
        assert machine.tuned is not None, machine.reason
        tried = sum(one.phase == "search" for one in machine.tuned.trials)
        print(
            f"| {count} | {at_once or 'all'} | {fleet.seconds:.1f} | {machine.type} "
            f"| {tried} | {len(machine.tuned.trials) - tried} |",
            flush=True,
        )


class _Hunter:
    """Kills the node that searches, at a moment."""

    def __init__(self, dies_at: int, nodes: Sequence[Any], store: Path) -> None:
        self._dies_at, self._nodes, self._store = dies_at, nodes, store
        self._told, self._on = 0, ""
        self.kept: set[tuple[bytes, int]] = set()

    def observe(self, machine: str, event: Event) -> None:
        if isinstance(event, Said) and event.text.startswith("searching on"):
            self._on = event.text
        if isinstance(event, Profiled | Tried):
            self._told += 1
            if self._told == self._dies_at:
                self.kept = _records(self._store)
                _kill(next(one for one in self._nodes if one.node_id[:8] in self._on))


def _killed(kills: int, pause_s: float) -> None:
    lost = answered = went_on = 0
    for kill in range(kills):
        with _cluster(["type-0", "type-0"]) as (address, nodes, folder):
            store = folder / "store.sqlite"
            hunter = _Hunter(random.Random(kill).randint(1, 15), nodes, store)
            asked = FleetQuestion(_question(folder), search=ByType(PaperSearch(pause_s=pause_s)))
            with connected(address) as cluster:
                fleet = search(asked, cluster, hunter.observe)
            lost += len(hunter.kept - _records(store))
            answered += fleet.machines[0].tuned is not None
            went_on += any("was lost" in note for note in fleet.machines[0].notes)
    print(f"\n{kills} nodes killed, {went_on} searches went on with a twin, {answered} answered; ")
    print(f"measurements lost of those that were kept before: {lost}")


class _Silent(RayCluster):
    """Passes no lessons on."""

    def teach(self, search: Hashable, sender: str, lesson: Lesson) -> None:
        """Forget it."""


def _taught(seeds: int) -> None:
    how = ByType(PaperSearch(cores=8, odd=True, starter=False))
    print("\n| seed | lessons | measurements of the search, by type | p99 over that without |")
    print("|---:|---|---|---:|")
    for seed in range(seeds):
        without = np.ones(1)
        for lessons in ("kept", "passed on"):
            with _cluster(["type-0", "type-1", "type-2"]) as (address, _, folder):
                asked = FleetQuestion(_question(folder, ODD_LOADS_RPS, seed), search=how)
                with connected(address) as cluster:
                    given = cluster if lessons == "passed on" else _Silent()
                    fleet = search(asked, given, lambda machine, event: None)
            p99_ms = _p99_ms(fleet)
            without = p99_ms if lessons == "kept" else without
            ratio = float(np.exp(np.mean(np.log(p99_ms / without))))
            print(f"| {seed} | {lessons} | {_tried(fleet)} | {ratio:.3f} |", flush=True)


def _tried(fleet: FleetFile) -> str:
    found = [one.tuned.trials for one in fleet.machines if one.tuned is not None]
    return ", ".join(str(sum(one.phase == "search" for one in trials)) for trials in found)


def _p99_ms(fleet: FleetFile) -> Samples:
    """Of the answers of all types at all loads, as confirmed; nan where requests were lost."""
    policies = [one.tuned.policy for one in fleet.machines if one.tuned is not None]
    entries = [entry.measured for policy in policies for entry in policy]
    return np.array([np.nan if one is None else one.objective.value_ms for one in entries], float)


def _question(folder: Path, loads_rps: Sequence[float] = LOADS_RPS, seed: int = 0) -> Question:
    model = folder / "model.onnx"
    model.write_bytes(b"a model on paper")
    return Question(
        model=ModelSpec(path=str(model)),
        name="paper",
        slo=Slo(latency_ms=50),
        traffics=[Traffic(load_rps=load_rps) for load_rps in loads_rps],
        budget_s=60.0 if loads_rps is LOADS_RPS else 600.0,
        max_trials=None,
        seed=seed,
        output=None,
        keeping=Keeping(store=folder / "store.sqlite", allow_shared=True),
    )


@contextmanager
def _cluster(types: Sequence[str]) -> Iterator[tuple[str, list[Any], Path]]:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = []
        for name in types:
            os.environ["PAPER_TYPE"] = name  # a node process hands it to its workers
            label = {"machine-type": name}
            nodes.append(cluster.add_node(num_cpus=1, labels=label, include_dashboard=False))
        with tempfile.TemporaryDirectory() as folder:
            yield cluster.address, nodes, Path(folder)
    finally:
        cluster.shutdown()


def _kill(node: Any) -> None:
    """End all its processes at once, as when a machine loses power."""
    raylet = node.all_processes["raylet"][0].process.pid
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(raylet)], capture_output=True, text=True
    )
    for pid in (raylet, *map(int, listed.stdout.split())):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _records(store: Path) -> set[tuple[bytes, int]]:
    with closing(sqlite3.connect(store)) as opened:
        return set(opened.execute("SELECT digest, turn FROM records"))


if __name__ == "__main__":
    started_s = time.monotonic()
    main()
    print(f"\n{time.monotonic() - started_s:.0f} s in all")
