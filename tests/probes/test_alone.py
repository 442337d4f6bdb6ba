"""One at a time: with real processes, killed and not."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from autotune.probes.alone import measuring_alone

HOLD = """
import sys
from autotune.probes.alone import measuring_alone
with measuring_alone(lambda pid: print("waiting", pid, flush=True), sys.argv[1]):
    print("mine", flush=True)
    input()
"""


@pytest.fixture
def address() -> str:
    return f"\0autotune-test-{os.getpid()}"


class Holder:
    """Another process that measures, until it is told to end."""

    def __init__(self, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD.replace("sys.argv[1]", repr(address))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        with self.process:
            self.process.kill()


@pytest.fixture
def holder(address: str) -> Iterator[Holder]:
    one = Holder(address)
    assert one.says() == "mine"
    yield one
    one.end()


def test_nobody_waits_for_nobody(address: str) -> None:
    told: list[int] = []
    for _ in range(3):
        with measuring_alone(told.append, address):
            pass
    assert told == []


def test_it_waits_for_who_measures_and_says_who(address: str, holder: Holder) -> None:
    told: list[int] = []
    got = threading.Event()

    def wait() -> None:
        with measuring_alone(told.append, address):
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.wait(0.3)
    assert told == [holder.process.pid]
    holder.process.communicate("\n")
    waiting.join(10)
    assert got.is_set()


def test_whoever_is_killed_holds_nothing(address: str, holder: Holder) -> None:
    os.kill(holder.process.pid, signal.SIGKILL)
    with measuring_alone(lambda pid: None, address):
        pass


def test_of_several_that_wait_one_goes_on_at_a_time(address: str) -> None:
    inside, most, lock = [0], [0], threading.Lock()

    def measure() -> None:
        with measuring_alone(lambda pid: None, address):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            threading.Event().wait(0.02)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=measure) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert most == [1]
