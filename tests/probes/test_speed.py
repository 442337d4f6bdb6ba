"""The probe runs for real once here; what its figures are is no matter of a test."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from autotune.errors import MeasureError
from autotune.probes import speed
from autotune.probes.cores import usable_cores
from autotune.probes.speed import best_rate, probe


def test_the_probe_measures_this_machine() -> None:
    found = probe()
    assert found.cores == usable_cores().usable
    assert 0 < found.core_gflops <= found.all_gflops < 1e6
    assert 0 < found.core_gbps <= found.all_gbps < 1e5
    assert 0 < found.wake_us < 1e6


def test_threads_that_take_turns_are_not_as_fast_as_each_in_its_turn() -> None:
    turn = threading.Lock()

    def make() -> speed.Work:
        def work() -> None:
            with turn:
                time.sleep(0.002)

        return work

    # A sleep never wakes early, so nothing can be faster than its length.
    assert 0 < best_rate(make, 3, repeats=2, repeat_s=0.02) <= 500 * 1.01


def test_each_thread_makes_its_own_and_begins_with_the_others() -> None:
    made, running = [], []
    most = 0

    def make() -> speed.Work:
        made.append(threading.get_ident())

        def work() -> None:
            nonlocal most
            running.append(1)
            most = max(most, len(running))
            time.sleep(0.005)
            running.pop()

        return work

    rate = best_rate(make, 3, repeats=3, repeat_s=0.03)
    assert len(set(made)) == 3
    assert most == 3
    assert 0 < rate <= 3 * 200 * 1.01


def test_a_thread_that_fails_does_not_let_the_others_wait() -> None:
    turn = iter(range(3))

    def make() -> speed.Work:
        if next(turn) == 2:
            raise MemoryError("no room")
        return lambda: None

    with pytest.raises((MemoryError, threading.BrokenBarrierError)):
        best_rate(make, 3, repeats=1, repeat_s=0.01)


def test_the_process_has_one_thread_each_and_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nenv >{tmp_path}/environment\necho first >&2\necho 'no go' >&2\n")
    python.chmod(0o755)
    monkeypatch.setenv("A_TOKEN", "secret")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(MeasureError, match=r"cannot be probed: no go$"):
        probe()
    environment = (tmp_path / "environment").read_text().splitlines()
    assert "OPENBLAS_NUM_THREADS=1" in environment
    assert not any("secret" in line for line in environment)
    assert os.environ["A_TOKEN"] == "secret"


@pytest.mark.parametrize("script", ["exit 0", "exec sleep 60", None])
def test_a_process_that_says_nothing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    place = tmp_path / "python"
    if script is not None:
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(place))
    monkeypatch.setattr(speed, "LONGEST_S", 0.2)
    with pytest.raises(MeasureError) as raised:
        probe()
    assert "\n" not in str(raised.value)
