"""A real Ray cluster of several node processes on this machine; nodes are killed in mid-search."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fleet_machines import PaperSearch
from fleet_made import asked, question
from msgspec import structs

from autotune import fleet_file
from autotune.errors import ModelError, UsageError
from autotune.fleet.cluster import connected
from autotune.fleet.search import FleetQuestion, search
from autotune.fleet_file import FleetFile
from autotune.spec import ModelSpec
from autotune.stages.events import Event, Profiled, Said, Tried
from autotune.stages.learning import starter_lessons
from autotune.stages.question import Keeping
from autotune.store.database import Store

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files to the end of its processes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[2]
PAUSE_S = 0.07


class Nodes:
    """A cluster whose nodes come and go."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    def add(self, machine_type: str) -> Any:
        label = {"machine-type": machine_type}
        return self._cluster.add_node(num_cpus=1, labels=label, include_dashboard=False)

    def kill(self, node: Any) -> None:
        """As when its machine loses power: all its processes at once, workers as well."""
        raylet = node.all_processes["raylet"][0].process.pid
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(raylet)], capture_output=True, text=True
        )
        for pid in (raylet, *map(int, listed.stdout.split())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Nodes]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    below = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(below))
    with running_cluster(tmp_path) as found:
        yield found


@contextmanager
def running_cluster(folder: Path) -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        yield Nodes(cluster)
    finally:
        ray.shutdown()
        cluster.shutdown()
        ends_s = time.monotonic() + 20
        while (left := processes(folder)) and time.monotonic() < ends_s:
            time.sleep(0.2)
        assert not left


def processes(folder: Path, what: bytes = b"") -> list[str]:
    """What still runs that was started in a test, by where its user's data lies."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            mine = os.fsencode(f"{folder}-data") in (process / "environ").read_bytes()
            if mine and what in (said := (process / "cmdline").read_bytes()):
                found.append(f"{process.name} {said!r}")
    return found


def test_nodes_killed_at_random_moments_lose_nothing(nodes: Nodes, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    moments = random.Random(seed)
    alive = [nodes.add("large"), nodes.add("large"), nodes.add("small")]
    dies_at = {name: moments.randint(1, 15) for name in ("large", "small")}
    told, on, kept_before = dict.fromkeys(dies_at, 0), dict[str, str](), dict[str, int]()
    store = tmp_path / "store.sqlite"

    def observe(machine: str, event: Event) -> None:
        if isinstance(event, Said) and event.text.startswith("searching on"):
            on[machine] = event.text
        if not isinstance(event, Profiled | Tried):
            return
        told[machine] += 1
        if told[machine] == dies_at[machine]:
            kept_before[machine] = len(kept(store, machine))
            (victim,) = [one for one in alive if one.node_id[:8] in on[machine]]
            nodes.kill(victim)

    longer = question(tmp_path, budget_s=60.0, max_trials=3)
    one = asked(longer, search=PaperSearch(pause_s=PAUSE_S))
    with connected(nodes.address) as cluster:
        fleet = search(one, cluster, observe)
        large, small = fleet.machines
        assert (large.status, small.status) == ("complete", "missing"), seed
        assert "was lost" in large.notes[0]
        for machine, before in kept_before.items():
            records = kept(store, machine)
            assert len(records) >= before >= dies_at[machine], seed
            assert len(records) == len(set(records)), seed
        # Another of the type that is missing comes, and the same asked again goes on.
        known = kept(store, "small")
        nodes.add("small")
        again = search(one, cluster, observe)
    assert [found.status for found in again.machines] == ["complete", "complete"], seed
    assert kept(store, "small")[: len(known)] == known, seed
    assert again.machines[0].tuned == large.tuned
    assert fleet_file.read(tmp_path / "model.fleet.json") == again


def test_types_that_begin_together_learn_from_each_other(nodes: Nodes, tmp_path: Path) -> None:
    nodes.add("large")
    nodes.add("small")
    one = asked(question(tmp_path, max_trials=4), search=PaperSearch(pause_s=PAUSE_S))
    with connected(nodes.address) as cluster:
        fleet = search(one, cluster, lambda machine, event: None)
        # One may have ended before the other's process stood: that one learnt all the same.
        assert max(searches(fleet)) == len(starter_lessons()) + 1
        # What carries lessons dies; the searches do not, and say so.
        said: list[str] = []

        def observe(machine: str, event: Event) -> None:
            if isinstance(event, Profiled) and not said:
                said.append("")
                ray.kill(cluster._post)
            if isinstance(event, Said) and "nothing more is learnt" in event.text:
                said.append(machine)

        fresh = Keeping(store=tmp_path / "another.sqlite", allow_shared=True)
        alone = one._replace(question=structs.replace(one.question, keeping=fresh))
        fleet = search(alone, cluster, observe)
    assert [found.status for found in fleet.machines] == ["complete", "complete"]
    assert sorted(said) == ["", "large", "small"]
    assert searches(fleet) == [len(starter_lessons())] * 2


def searches(fleet: FleetFile) -> list[int]:
    """From how many each machine type learnt."""
    found = [one.tuned.search.learnt for one in fleet.machines if one.tuned is not None]
    return [one.searches for one in found if one is not None]


def kept(store: Path, machine: str) -> list[tuple[bytes, int]]:
    """What the store has of a machine type's only search."""
    with closing(sqlite3.connect(store)) as opened:
        query = "SELECT id FROM searches WHERE asked LIKE ?"
        ((number,),) = opened.execute(query, (f'%"machine_type": "{machine}"%',)).fetchall()
    with Store(store) as found:
        return [(one.digest, one.turn) for _, one in found.records(number)]


def test_a_real_search_that_is_terminated_goes_on_with_the_same_command(
    nodes: Nodes, tmp_path: Path, mlp: Path
) -> None:
    """What `autotune search` does, in a process of Ray, through the command line."""
    nodes.add("tiny")
    store, output = tmp_path / "store.sqlite", tmp_path / "mlp.fleet.json"
    command = [sys.executable, "-m", "autotune", "fleet", "search", str(mlp), "--slo", "50ms"]
    command += ["--load", "50", "--budget", "8s", "--trials", "1", "--ray", nodes.address]
    command += ["--store", str(store), "--allow-shared", "-o", str(output)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as begun:
        assert begun.stderr is not None
        told: list[str] = []
        for line in iter(begun.stderr.readline, ""):
            told.append(line)
            if "profile: " in line:
                begun.send_signal(signal.SIGTERM)
                break
        told += begun.stderr.readlines()
    assert begun.returncode == 143, told
    assert "is kept: the same command goes on" in told[-1]
    known = kept(store, "tiny")
    assert known
    assert not output.exists()
    ends_s = time.monotonic() + 20
    while (left := processes(tmp_path, b"autotune.trial")) and time.monotonic() < ends_s:
        time.sleep(0.2)
    assert not left
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    assert "tiny: going on with the search of" in done.stderr
    assert "Traceback" not in done.stderr
    assert kept(store, "tiny")[: len(known)] == known
    (machine,) = fleet_file.read(output).machines
    assert machine.type == "tiny"
    assert machine.tuned is not None
    assert machine.tuned.trials
    assert machine.tuned.lesson is not None


def test_a_node_whose_versions_differ_is_refused(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.add("large")
    other = tmp_path / "other"
    other.mkdir()
    # What the metadata of an older package would say.
    (other / "numpy-1.26.0.dist-info").mkdir()
    (other / "numpy-1.26.0.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 1.26.0\n")
    monkeypatch.setenv("PYTHONPATH", f"{other}{os.pathsep}{os.environ['PYTHONPATH']}")
    nodes.add("older")
    with (
        connected(nodes.address) as cluster,
        pytest.raises(UsageError, match=r"has numpy 1\.26\.0, and this one"),
    ):
        search(asked(question(tmp_path)), cluster, lambda machine, event: None)


def test_a_model_that_cannot_be_run_is_said_as_it_would_be_here(
    nodes: Nodes, tmp_path: Path
) -> None:
    nodes.add("large")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    one = FleetQuestion(structs.replace(question(tmp_path), model=ModelSpec(path=str(broken))))
    with connected(nodes.address) as cluster, pytest.raises(ModelError, match=r"broken\.onnx: "):
        search(one, cluster, lambda machine, event: None)
