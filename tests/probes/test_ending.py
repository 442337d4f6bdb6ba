import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autotune.probes.ending import how_it_ended, last_line
from autotune.records import Failed


def test_a_kill_is_taken_for_want_of_memory_and_other_signals_for_a_crash() -> None:
    killed = how_it_ended(-signal.SIGKILL, "")
    assert killed.kind == "out_of_memory"
    assert "killed by SIGKILL, most likely for want of memory" in killed.detail
    aborted = how_it_ended(-signal.SIGABRT, "double free")
    detail = "the process was killed by SIGABRT: double free"
    assert aborted == Failed(kind="crash", detail=detail)
    assert how_it_ended(3, "").detail == "the process ended with exit code 3"


def test_the_last_line_of_a_long_file_is_read_and_nothing_of_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_bytes(b"x" * 5000 + b"\nthe \xff end \n\n")
    with path.open("r+b") as file:
        assert last_line(file.fileno()) == "the \ufffd end"
    with path.open("ab") as file:  # as a shell redirects, which cannot be read
        assert last_line(file.fileno()) == ""
    path.write_text("\n")
    with path.open("rb") as file:
        assert last_line(file.fileno()) == ""
    read, write = os.pipe()
    os.close(write)
    assert last_line(read) == ""
    os.close(read)


@pytest.mark.parametrize("parent", ["own", "other"])
def test_a_process_whose_parent_is_gone_already_ends(parent: str) -> None:
    pid = os.getpid() if parent == "own" else 1 << 22
    script = f"from autotune.probes.ending import end_with_parent; end_with_parent({pid})"
    done = subprocess.run([sys.executable, "-c", script])
    assert done.returncode == (0 if parent == "own" else 1)
