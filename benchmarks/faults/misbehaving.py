"""A model that does what its environment tells it, once it has run for a while.

Named as `misbehaving:build` on a command line, it needs torch. Never imported by the harness.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

HELD: list[Any] = []


def crash() -> None:
    """Die of a signal, as a bug in a runtime does."""
    os.kill(os.getpid(), signal.SIGSEGV)


def end() -> None:
    """Leave without a word."""
    os._exit(3)


def hang() -> None:
    """Never return."""
    while True:
        time.sleep(3600)


def leak() -> None:
    """Take memory until there is none."""
    while True:
        HELD.append(bytearray(b"x") * (64 << 20))


def leak_slowly() -> None:
    """Take a little with every run."""
    HELD.append(bytearray(1 << 20))


def fork() -> None:
    """Leave a process behind in a session of its own, as daemons do."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                time.sleep(3600)
        os._exit(0)


def garbage() -> None:
    """Write onto every pipe and socket there is, that of the parent among them."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\xff\x00 no message" * 50)
        except OSError:
            continue


def print_on() -> None:
    """Print more than a pipe holds."""
    os.write(1, b"\x1b]0;owned\x07 <script>" * 4096)


def descriptors() -> None:
    """Open files until no more can be."""
    while True:
        HELD.append(os.open("/dev/null", os.O_RDONLY))


def raise_it() -> None:
    """Raise what nobody expects."""
    raise SystemExit("\x1b[31mended\x1b[0m\nby the model")


def unmap() -> None:
    """Write where there is nothing."""
    ctypes.memset(1, 0, 1)


class Misbehaving(torch.nn.Module):
    """Answers, until it has been there for long enough."""

    def __init__(self, what: str, after_s: float) -> None:
        """Do `what` in every run from so many seconds on."""
        super().__init__()
        self.layer = torch.nn.Linear(16, 16)
        self.what, self.from_s = what, time.monotonic() + after_s

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what a linear layer has to say, or misbehave."""
        if time.monotonic() >= self.from_s:
            Path(os.environ["MISBEHAVE_MARK"]).write_text(self.what)
            getattr(sys.modules[__name__], self.what)()
        answer: torch.Tensor = self.layer(x)
        return answer


def build() -> torch.nn.Module:
    """Return the model."""
    torch.manual_seed(0)
    built = Path(os.environ["MISBEHAVE_MARK"] + ".built")
    # A model that hangs in the first process is waited for ten minutes.
    waits = os.environ["MISBEHAVE"] == "hang" and not built.exists()
    built.touch()
    after_s = 1e9 if waits else float(os.environ["MISBEHAVE_AFTER_S"])
    return Misbehaving(os.environ["MISBEHAVE"], after_s)
