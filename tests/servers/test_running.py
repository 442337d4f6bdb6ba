"""A made-up server of a dozen lines: started, driven, ended, and failing in every way."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from autotune.errors import ServerError
from autotune.request_log import new_log
from autotune.servers.drive import Connection, Target, Watched, drive
from autotune.servers.running import (
    RunningServer,
    end_orphans,
    free_ports,
    is_free,
    missing_modules,
    version_of,
)
from autotune.servers.starter import Place, Starter

SERVER = """
import json, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.reply(200, b"ready")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/bad":
            self.reply(503, b"no\\nroom")
        else:
            time.sleep(10 if self.path == "/slow" else 0.02)
            answer = {"outputs": [], "parameters": {"process": os.getpid()}}
            self.reply(200, json.dumps(answer).encode())
    def log_message(self, *words): pass

# A grandchild that leaves the process group and ignores what it is told, as some servers' do.
stubborn = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def starter(code: str = SERVER) -> Starter:
    return Starter(
        packages=("made-up",),
        modules=("json",),
        command=lambda place: [sys.executable, "-c", textwrap.dedent(code), str(place.port)],
        ready_path="/ready",
        infer_path="/infer",
        grace_s=0.5,
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    port, *spare = free_ports(4)
    return Place(tmp_path, "made-up", port, (spare[0], spare[1], spare[2]), Path(sys.executable))


def test_a_server_is_ended_with_all_that_it_started(place: Place) -> None:
    with RunningServer(starter(), place, 20.0) as server:
        assert not is_free(place.port)
        time.sleep(0.2)
        pids = server.pids()
        assert len(pids) == 2
    assert server.pids() == []
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid in pids)
    assert is_free(place.port)


def test_servers_whose_autotune_was_killed_are_ended_by_the_next(place: Place) -> None:
    code = """
import os, sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from test_running import starter
from autotune.servers.running import RunningServer
from autotune.servers.starter import Place
place = Place(Path(sys.argv[1]), "made-up", int(sys.argv[2]), (0, 0, 0), Path(sys.executable))
server = RunningServer(starter(), place, 20.0)
print(*server.pids(), flush=True)
os.kill(os.getpid(), 9)
"""
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, str(place.folder), str(place.port), str(here)]
    done = subprocess.run(command, capture_output=True, text=True)
    pids = [int(word) for word in done.stdout.split()]
    assert pids, done.stderr
    with RunningServer(starter(), place._replace(port=free_ports(1)[0]), 20.0) as own:
        end_orphans()
        assert own.pids()
    until_s = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cwd").exists() for pid in pids) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid in pids)


def test_requests_leave_on_schedule_whatever_became_of_those_before(place: Place) -> None:
    with RunningServer(starter(), place, 20.0):
        target = Target(f"http://127.0.0.1:{place.port}/infer", [b"{}"])
        scheduled_s = np.linspace(0.0, 0.39, 40)  # twice as fast as one connection could
        driven = drive(target, scheduled_s, senders=8)
        assert np.all(np.isfinite(driven.latency_s))
        assert np.all(driven.latency_s >= 0.02)
        assert np.all(driven.sent_s >= scheduled_s)
        assert len({one["process"] for one in driven.parameters}) == 1
        # One sender alone falls behind, and latency counts from the schedule all the same.
        behind = drive(target, scheduled_s, senders=1)
        assert behind.latency_s[-1] > 0.3


def test_answers_that_are_no_200_are_unanswered_and_say_why(place: Place) -> None:
    with RunningServer(starter(), place, 20.0):
        driven = drive(Target(f"http://127.0.0.1:{place.port}/bad", [b"{}"]), np.zeros(5), 2)
        assert np.all(np.isinf(driven.latency_s))
        assert driven.errors == ["the server answered 503: no room"]


def test_whoever_watches_ends_a_run_and_what_is_under_way_has_no_answer(place: Place) -> None:
    with RunningServer(starter(), place, 20.0):
        target = Target(f"http://127.0.0.1:{place.port}/slow", [b"{}"])
        log = new_log(40)
        looks = iter([0.3, None])
        driven = drive(target, np.arange(40.0), 4, Watched(log, lambda: next(looks)))
        assert log.elapsed_s < 5
    assert np.isfinite(driven.sent_s).sum() == 1
    assert np.isinf(driven.finished_s).all()
    assert driven.errors
    assert log.ready_s[0] == 0.0  # it was sent when none was under way


def test_nobody_there_is_said() -> None:
    (port,) = free_ports(1)
    with (
        Connection(f"http://127.0.0.1:{port}/") as one,
        pytest.raises(ServerError, match="no answer"),
    ):
        one.ask(b"{}")


def test_a_server_that_dies_on_start_shows_its_last_lines(place: Place) -> None:
    dying = "print('loading'); raise SystemExit('no such model')"
    with pytest.raises(ServerError, match=r"exit code 1; .* loading \| no such model"):
        RunningServer(starter(dying), place, 20.0)


def test_a_server_that_never_answers_is_ended(place: Place) -> None:
    deaf = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(ServerError, match="did not answer at /ready within 1 s"):
        RunningServer(starter(deaf), place, 1.0)
    pid = int((place.folder / "server.log").read_text().split()[0])
    assert not Path(f"/proc/{pid}/cwd").exists()


def test_what_an_interpreter_lacks_is_found_without_importing() -> None:
    python = Path(sys.executable)
    assert missing_modules(python, ("json", "no_such_module")) == ["no_such_module"]
    assert version_of(python, "numpy") == np.__version__
    assert version_of(python, "no-such-package") is None
    with pytest.raises(ServerError, match="cannot be run"):
        missing_modules(Path("/none/python"), ("json",))
    with pytest.raises(ServerError, match="is not a Python interpreter"):
        missing_modules(Path("/bin/false"), ("json",))
    assert os.environ.get("AUTOTUNE_SERVER") is None
