"""Who owns something, told apart from whoever gets the same process number later."""

import subprocess
import sys

from autotune.probes.owner import is_gone, this_process


def test_this_process_lives() -> None:
    assert not is_gone(this_process())


def test_another_lives_until_it_ends() -> None:
    code = (
        "from autotune.probes.owner import this_process; print(this_process(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        owner = child.stdout.readline().strip()
        assert not is_gone(owner)
        child.kill()
        child.wait()
        assert is_gone(owner)


def test_a_later_process_of_the_same_number_is_another() -> None:
    where, pid, started = this_process().split("-")
    assert is_gone(f"{where}-{pid}-{int(started) + 1}")


def test_who_cannot_be_seen_from_here_is_not_taken_for_gone() -> None:
    _, pid, started = this_process().split("-")
    for owner in ("", "-", "--", "00000000-1-1", f"00000000-{pid}-{started}", "where-x-y"):
        assert not is_gone(owner)
