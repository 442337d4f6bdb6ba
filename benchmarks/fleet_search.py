"""A fleet of 1, 2 and 4 node processes on machines on paper: time and measurements by machine type.

    python benchmarks/fleet_search.py [--fleets 1,2,4] [--kills 3] [--pause 0.2]

Real Ray nodes on this machine, each of a machine type of its own; searches are the ordinary ones
over simulated answers (`fleet_machines`), of which each takes `--pause` seconds, and each type is
half as fast again as the one before. Side by side, then one after the other (`--at-once 1`), where
the n-th type learns from those before it. Then nodes are killed at random moments, with a twin
each: what was kept before and is not afterwards is lost.
"""

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from fleet_machines import ByType

from autotune.arrivals import Traffic
from autotune.fleet.cluster import connected
from autotune.fleet.search import FleetQuestion, search
from autotune.fleet_file import FleetFile
from autotune.spec import ModelSpec, Slo
from autotune.stages.events import Event, Profiled, Said, Tried
from autotune.stages.question import Keeping, Question

HERE = Path(__file__).parent
LOADS_RPS = (40.0, 130.0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleets", default="1,2,4")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.2)
    given = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    below = [str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, below))
    print(
        "| types | at once | whole, s | type | measurements of the search | of the confirmation |"
    )
    print("|---:|---:|---:|---|---:|---:|")
    for count in map(int, given.fleets.split(",")):
        for at_once in (None, 1) if count > 1 else (None,):
            _side_by_side(count, at_once, given.pause)
    if given.kills:
        _killed(given.kills, given.pause)


def _side_by_side(count: int, at_once: int | None, pause_s: float) -> None:
    with _cluster([f"type-{number}" for number in range(count)]) as (address, _, folder):
        fleet = _searched(address, folder, at_once, pause_s, lambda machine, event: None)
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
            fleet = _searched(address, folder, None, pause_s, hunter.observe)
            lost += len(hunter.kept - _records(store))
            answered += fleet.machines[0].tuned is not None
            went_on += any("was lost" in note for note in fleet.machines[0].notes)
    print(f"\n{kills} nodes killed, {went_on} searches went on with a twin, {answered} answered; ")
    print(f"measurements lost of those that were kept before: {lost}")


def _searched(
    address: str, folder: Path, at_once: int | None, pause_s: float, observe: Any
) -> FleetFile:
    model = folder / "model.onnx"
    model.write_bytes(b"a model on paper")
    question = Question(
        model=ModelSpec(path=str(model)),
        name="paper",
        slo=Slo(latency_ms=50),
        traffics=[Traffic(load_rps=load_rps) for load_rps in LOADS_RPS],
        budget_s=60.0,
        max_trials=None,
        seed=0,
        output=None,
        keeping=Keeping(store=folder / "store.sqlite", allow_shared=True),
    )
    with connected(address) as cluster:
        asked = FleetQuestion(question, at_once=at_once, search=ByType(pause_s=pause_s))
        return search(asked, cluster, observe)


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
