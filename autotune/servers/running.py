"""A server process with all that it starts: begun, waited for, looked at, and ended for certain."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from autotune.errors import ServerError
from autotune.probes.owner import is_gone, this_process
from autotune.runtime_environment import passed_on
from autotune.servers.starter import Place, Starter

_MARK = "AUTOTUNE_SERVER"
"""In the environment of everything that a server starts: some leave their process group. It names
the process that started it, as `autotune.probes.owner` has it."""
_OF_SERVERS = ("JAVA_", "RAY_", "BENTOML_", "MLSERVER_", "TS_")
"""What they are set up with begins so."""
_LAST_LINES = 8
_LOG = "server.log"
_GRACE_S = 5.0


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]


def is_free(port: int) -> bool:
    """Whether nobody listens on the port."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def version_of(python: Path, package: str) -> str | None:
    """Return the version of a package in an interpreter's environment; None: not installed."""
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    command = [str(python), "-c", code, package.partition("[")[0]]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip() if done.returncode == 0 else None


def missing_modules(python: Path, modules: tuple[str, ...]) -> list[str]:
    """Return those that the interpreter cannot find; nothing is imported.

    Raises:
        ServerError: it is no Python.
    """
    code = (
        "import importlib.util as u, sys\n"
        "print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
    )
    try:
        done = subprocess.run(
            [python, "-c", code, *modules], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise ServerError(f"{python}: cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise ServerError(f"{python}: is not a Python interpreter")
    return done.stdout.split()


def last_lines(log: Path) -> str:
    """Return the end of what was printed into a file, in one line."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:]) or "it printed nothing"


def end_orphans() -> None:
    """Kill the servers of this user whose autotune is gone, so that it could not end them."""
    for pid, mark in _marked():
        if is_gone(mark.rpartition("-")[0]):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _marked() -> Iterator[tuple[int, str]]:
    """Yield every process that a server started, with its mark."""
    begin = f"{_MARK}=".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            for variable in path.read_bytes().split(b"\0"):
                if variable.startswith(begin):
                    yield (
                        int(path.parent.name),
                        variable.removeprefix(begin).decode(errors="replace"),
                    )


class RunningServer:
    """A server that answers. Use as a context: it is ended with every process that it started."""

    def __init__(self, starter: Starter, place: Place, ready_within_s: float) -> None:
        """Start it and wait until it is ready.

        Raises:
            ServerError: it ended, or did not answer in time; its last lines are shown.
        """
        self.starter, self.place = starter, place
        self.log = place.folder / _LOG
        self._mark = f"{this_process()}-{uuid.uuid4().hex}"
        starter.prepare(place)
        own = {"ORT_DISABLE_TELEMETRY": "1", _MARK: self._mark}
        passing = passed_on(os.environ, _OF_SERVERS)
        environment = {**passing, **own, **starter.environment(place)}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                starter.command(place),
                cwd=place.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.ready_after_s = self._wait(ready_within_s)
        except BaseException:
            self.close()
            raise

    def pids(self) -> list[int]:
        """Return every process that the server started and that still runs."""
        return sorted(pid for pid, mark in _marked() if mark == self._mark)

    def last_lines(self) -> str:
        """Return the end of what the server printed, in one line."""
        return last_lines(self.log)

    def close(self) -> None:
        """Ask all processes to end, then kill those that remain."""
        for number, wait_s in ((signal.SIGINT, self.starter.grace_s), (signal.SIGKILL, _GRACE_S)):
            for pid in self.pids():
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
            deadline_s = time.monotonic() + wait_s
            while self.pids() and time.monotonic() < deadline_s:
                self._process.poll()  # collects it, so that it leaves the process table
                time.sleep(0.05)
        self._process.wait()

    def __enter__(self) -> "RunningServer":
        """Return the server itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    def _wait(self, within_s: float) -> float:
        started_s = time.monotonic()
        path = self.starter.ready_path.format(name=self.place.name)
        while time.monotonic() - started_s < within_s:
            if self._process.poll() is not None:
                raise ServerError(
                    f"the server ended with exit code {self._process.returncode}; "
                    f"its last lines: {self.last_lines()}"
                )
            if _answers(self.place.port, path, self.starter.is_ready):
                return time.monotonic() - started_s
            time.sleep(0.1)
        raise ServerError(
            f"the server did not answer at {path} within {within_s:g} s; "
            f"its last lines: {self.last_lines()}"
        )


def _answers(port: int, path: str, is_ready: Callable[[bytes], bool]) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status == 200 and is_ready(answer.read())
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
