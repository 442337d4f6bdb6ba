"""The tool asks for no network, ever: every process of the real commands runs without one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import no_network
import pytest

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "v9.autotune.json"
NO_INTERFACES = ("unshare", "--net", "--map-root-user")


class Guard:
    """Starts processes without a network, and tells which there were and what they asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log = folder / no_network.LOG.name
        shutil.copy(no_network.__file__, folder / "sitecustomize.py")
        found = [str(folder), os.environ.get("PYTHONPATH", "")]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found))}

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=120
        )

    def lines(self, kind: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(kind)]

    @property
    def filtered(self) -> bool:
        return all("filtered=True" in line for line in self.lines("guarded"))


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return Guard(tmp_path / "guard")


def autotune(guard: Guard, folder: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
    done = guard.run(*prefix, sys.executable, "-m", "autotune", *arguments, cwd=folder)
    assert done.returncode in (0, 1, 4), (arguments, done.stderr, guard.log.read_text())
    return done.stdout


NATIVE = "import ctypes; ctypes.CDLL(None).socket({family}, 1, 0); print('went on')"
REFUSED = {
    "a name is looked up": "import socket; socket.getaddrinfo('localhost', 80)",
    "a connection": "import socket; socket.socket().connect(('127.0.0.1', 9))",
    "a port": "import socket; socket.socket().bind(('127.0.0.1', 0))",
    "a datagram": "import socket; socket.socket(type=2).sendto(b'', ('127.0.0.1', 9))",
    "in compiled code": NATIVE.format(family=2),
    "by version 6": NATIVE.format(family=10),
    "in a child": "import subprocess as s, sys\n"
    f'sys.exit(s.run([sys.executable, "-P", "-c", "{NATIVE.format(family=2)}"]).returncode)',
}


@pytest.mark.parametrize("program", REFUSED.values(), ids=REFUSED)
def test_the_guard_sees_who_asks(guard: Guard, program: str) -> None:
    done = guard.run(sys.executable, "-c", program)
    if not guard.filtered and not guard.lines("attempt"):
        pytest.skip("the kernel filters no calls here")
    assert done.returncode != 0
    assert "went on" not in done.stdout


def test_the_guard_lets_unix_sockets_be(guard: Guard, tmp_path: Path) -> None:
    program = (
        "import socket, sys\n"
        "one = socket.socket(socket.AF_UNIX); one.bind(sys.argv[1]); one.listen()\n"
        "two = socket.socket(socket.AF_UNIX); two.connect(sys.argv[1]); socket.socketpair()\n"
    )
    done = guard.run(sys.executable, "-c", program, str(tmp_path / "s"))
    assert done.returncode == 0, done.stderr
    assert guard.lines("attempt") == []


COMMANDS = [
    ["schema"],
    ["show", str(GOLDEN)],
    ["export", str(GOLDEN), "--to", "triton", "-o", "triton"],
    *(
        pytest.param(arguments, marks=pytest.mark.slow)
        for arguments in (
            ["ls", "."],
            ["compare", str(GOLDEN), str(GOLDEN)],
            ["doctor"],
            ["report", str(GOLDEN), "-o", "page.html"],
            ["report", str(GOLDEN), "--png", "gain.png"],
        )
    ),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments[:1]))
def test_what_is_read_and_written_needs_no_network(
    guard: Guard, tmp_path: Path, arguments: list[str]
) -> None:
    autotune(guard, tmp_path, *arguments)
    assert guard.lines("attempt") == []
    assert guard.lines("guarded")


LOAD = ("--slo", "500ms", "--load", "400")


def assert_nothing_was_asked(guard: Guard) -> None:
    assert guard.lines("attempt") == []
    children = [line for line in guard.lines("guarded") if "autotune.trial.child" in line]
    assert children, "what measures is a child, and it is guarded"


@pytest.mark.slow
def test_a_search_asks_for_no_network(guard: Guard, mlp: Path, tmp_path: Path) -> None:
    """The runtime reports to its maker unless told not to: compiled code is held to it as well."""
    autotune(guard, tmp_path, "search", str(mlp), *LOAD, "--budget", "4s")
    tuned = json.loads((tmp_path / "mlp.autotune.json").read_text())
    # The kernel would have ended a process that asked, which is a crash.
    assert [trial["failure"] for trial in tuned["trials"]] == [None] * len(tuned["trials"])
    assert_nothing_was_asked(guard)


@pytest.mark.slow
def test_without_any_interface_it_measures_all_the_same(
    guard: Guard, mlp: Path, tmp_path: Path
) -> None:
    if subprocess.run([*NO_INTERFACES, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    asked = ("measure", str(mlp), *LOAD, "--duration", "2s", "--json")
    (side,) = json.loads(autotune(guard, tmp_path, *asked, prefix=NO_INTERFACES))["sides"]
    assert side["summary"]["requests"] > 0
    assert_nothing_was_asked(guard)
