"""A Ray cluster of hosts of their own, in network namespaces: the cable of one is pulled."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autotune import fleet_file
from autotune.store.database import Store

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RAY = str(Path(sys.executable).with_name("ray"))
NETWORK = "10.77.0"
HEAD = f"{NETWORK}.1:6379"


class Hosts:
    """Hosts at a switch, each with an address of its own, and no way out."""

    def __init__(self, folder: Path) -> None:
        self._name, self._folder = f"at-{secrets.token_hex(2)}", folder
        self._names: list[str] = []
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            # Of the head: after how long it gives up a node that it hears nothing of.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "1000",
            "RAY_health_check_failure_threshold": "4",
        }

    def open(self) -> None:
        """Put up the switch.

        Raises:
            subprocess.CalledProcessError: this may not be done here.
        """
        self._unpack()
        self._at_switch("link", "add", "br0", "type", "bridge")
        self._at_switch("link", "set", "br0", "up")

    def add(self) -> int:
        """Plug in one more host; return its number."""
        number = len(self._names)
        host, port = self._unpack(), f"to{number}"
        peer = ("peer", "name", "eth0", "netns", host)
        self._at_switch("link", "add", port, "type", "veth", *peer)
        self._at_switch("link", "set", port, "master", "br0", "up")
        ip("-n", host, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            ip("-n", host, "link", "set", device, "up")
        return number

    def pull(self, host: int) -> None:
        """Pull a host's cable: nobody is told."""
        self._at_switch("link", "set", f"to{host}", "down")

    def start(self, host: int, *command: str) -> subprocess.Popen[str]:
        """Start a command on a host."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self._names[host], *command],
            env=self._environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End what runs there, and take all down."""
        for name in reversed(self._names):
            pids = ip("netns", "pids", name).split()
            if pids:
                subprocess.run(["kill", "-9", *pids], capture_output=True)
            ip("netns", "delete", name)

    def _unpack(self) -> str:
        name = f"{self._name}-{len(self._names)}"
        ip("netns", "add", name)
        self._names.append(name)
        return name

    def _at_switch(self, *words: str) -> None:
        ip("-n", self._names[0], *words)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    if shutil.which("ip") is None:
        pytest.skip("no network namespaces: there is no `ip` (Debian's iproute2)")
    with closing(Hosts(tmp_path)) as found:
        try:
            found.open()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces: {error.stderr.strip()}")
        yield found


def join(hosts: Hosts, *words: str) -> int:
    """Add a host to the cluster; return its number."""
    host = hosts.add()
    place = ("--node-ip-address", f"{NETWORK}.{host}")
    with hosts.start(host, RAY, "start", *place, *words) as started:
        assert started.stderr is not None
        said = started.stderr.read()
    assert started.returncode == 0, said
    return host


def test_a_search_on_a_host_whose_cable_is_pulled_goes_on_on_its_twin(
    hosts: Hosts, tmp_path: Path, mlp: Path
) -> None:
    dashboard = ("--include-dashboard", "false")
    head = join(hosts, "--head", "--port", "6379", "--num-cpus", "0", *dashboard)
    for _ in range(2):
        join(hosts, "--address", HEAD, "--num-cpus", "1", "--labels", "machine-type=twin")
    store, output = tmp_path / "store.sqlite", tmp_path / "mlp.fleet.json"
    command = [sys.executable, "-m", "autotune", "fleet", "search", str(mlp), "--slo", "50ms"]
    command += ["--load", "50", "--budget", "8s", "--trials", "1", "--ray", HEAD]
    command += ["--store", str(store), "--allow-shared", "-o", str(output)]
    known, told, searched = list[tuple[bytes, int]](), list[str](), list[str]()
    with hosts.start(head, *command) as search:
        assert search.stderr is not None
        for line in search.stderr:
            told.append(line)
            if "searching on" in line:
                searched.append(line.rsplit(".", 1)[1].strip())
            if "profile: " in line and not known:
                known = kept(store)
                hosts.pull(int(searched[0]))
    assert search.returncode in (0, 1), told
    assert len(set(searched)) == len(searched) == 2, told
    (machine,) = fleet_file.read(output).machines
    assert machine.status == "complete"
    assert any("Ray hears nothing of it any more" in note for note in machine.notes)
    assert known
    assert kept(store)[: len(known)] == known
    assert len(kept(store)) == len(set(kept(store)))


def kept(store: Path) -> list[tuple[bytes, int]]:
    with Store(store) as found:
        return [(one.digest, one.turn) for _, one in found.records(1)]
