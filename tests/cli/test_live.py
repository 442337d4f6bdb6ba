"""The live screen on a terminal that is emulated, and plain lines where there is none."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyte
import pytest
from rich.cells import cell_len
from told import searching

from autotune.cli import live
from autotune.outcome import ModelInfo

TESTS = Path(__file__).parents[1]
TELL = """
import sys
from flat import INFO
from rich.cells import cell_len
from told import searching
from autotune.cli import live
live.TICK_S = 0.05
events = searching(INFO)
with live.watch() as observe:
    for event in events[:17]:
        observe(event)
    sys.stdin.readline()
    for event in events[17:]:
        observe(event)
    sys.stdin.readline()
print("the answer")
"""
PATIENCE_S = 30.0


class Terminal:
    """A process on a terminal of its own, and what its window shows."""

    def __init__(self, command: list[str], width: int, height: int, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self._window = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._window)
        self.written = b""
        self.resize(width, height)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        os.close(theirs)

    def resize(self, width: int, height: int) -> None:
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)
        self._window.resize(height, width)

    def press_enter(self) -> None:
        os.write(self._ours, b"\n")

    def lines(self) -> list[str]:
        return [str(line).rstrip() for line in self._window.display]

    def wait_for(self, shown: Callable[[list[str]], bool]) -> list[str]:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            if shown(self.lines()):
                return self.lines()
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    data = os.read(self._ours, 65_536)
                except OSError:  # the other end is closed
                    break
                self.written += data
                self._stream.feed(data)
        assert shown(self.lines()), "\n".join(self.lines())
        return self.lines()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "benchmarks")])
    one = Terminal([sys.executable, "-c", TELL], 80, 24, NO_COLOR="1", PYTHONPATH=paths)
    yield one
    one.close()


def is_whole(lines: list[str], width: int) -> bool:
    """Whether one picture fills the window, without anything wrapped or left of another."""
    return (
        cell_len(lines[0]) == cell_len(lines[1]) == width
        and [line.endswith("searching, 1 measured") for line in lines].count(True) == 1
        and ["at most" in line for line in lines].count(True) == 1
        and ["best so far" in line for line in lines].count(True) == 1
        and ["search 30/s" in line for line in lines].count(True) == 1
    )


def test_the_screen_follows_its_window_and_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal.wait_for(lambda lines: "search 30/s: runtime default: 11.1 ms" in lines[-1])
    for width, height in ((60, 20), (120, 50), (80, 24)):
        terminal.resize(width, height)
        terminal.wait_for(partial(is_whole, width=width))
    terminal.press_enter()
    terminal.wait_for(lambda lines: "confirming, 10 measured" in lines[0])
    os.kill(terminal.process.pid, signal.SIGTSTP)  # ignored here, for want of a shell to return to
    terminal.wait_for(lambda lines: terminal.written.count(b"\x1b[?1049h") == 2)
    terminal.wait_for(lambda lines: "confirming, 10 measured" in lines[0])
    terminal.press_enter()
    lines = terminal.wait_for(lambda lines: "the answer" in lines)
    assert [line for line in lines if line] == [
        "warning: runs of 2 s are shorter than one cycle",
        "warning: out of time after 3 of 6 rounds: raise --budget",
        "the answer",
    ]
    assert terminal.written.count(b"\x1b[?1049l") == 2
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")
    styles = set(re.findall(rb"\x1b\[([0-9;]*)m", terminal.written))
    assert styles <= {b"0", b"1", b"2"}  # bold and dim, but no colour


def told(info: ModelInfo, verbosity: int = 0) -> None:
    with live.watch(verbosity) as observe:
        for event in searching(info):
            observe(event)


@pytest.mark.parametrize("name", ["FORCE_COLOR", "GITHUB_ACTIONS", "TTY_COMPATIBLE"])
def test_a_pipe_gets_plain_lines_whatever_is_said_of_colours(
    info: ModelInfo,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, "1")
    told(info)
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("loading the model (2.1 GB) ...\n")
    assert all(line.isprintable() for line in errors.splitlines())


@pytest.mark.parametrize(
    ("term", "verbosity", "first", "openings"),
    [
        ("dumb", 0, "loading the model (2.1 GB) ...", 0),
        ("xterm", -1, "runs of 2 s are shorter than one cycle", 0),
        ("xterm", 1, "loading the model (2.1 GB) ...", 21),
    ],
)
def test_a_terminal_gets_lines_where_it_is_dumb_or_they_are_asked_for(
    info: ModelInfo,
    term: str,
    verbosity: int,
    first: str,
    openings: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", term)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stderr, os.fdopen(ours, "rb", buffering=0) as window:
        monkeypatch.setattr(sys, "stderr", stderr)
        told(info, verbosity)
        written = window.read(65_536).decode()
    assert written.splitlines()[0] == first
    assert written.count("opening session") == openings
    assert "\x1b" not in written


def test_what_ends_at_once_does_not_flash(info: ModelInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(live, "TICK_S", 60.0)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stderr, os.fdopen(ours, "rb", buffering=0) as window:
        monkeypatch.setattr(sys, "stderr", stderr)
        told(info)
        written = window.read(65_536).decode()
    assert written.splitlines() == [
        "warning: runs of 2 s are shorter than one cycle",
        "warning: out of time after 3 of 6 rounds: raise --budget",
    ]
