"""Folders that outlive their process, and those that must not be touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autotune.probes.scratch import scratch, sweep


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(place: Path) -> None:
    script = (
        "import os\n"
        "from autotune.probes.scratch import scratch\n"
        "folder = scratch()\n"
        "open(os.path.join(folder.name, 'file'), 'w').close()\n"
        "print(folder.name, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "TMPDIR": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    left = Path(done.stdout.strip())
    assert left.parent == place
    assert (left / "file").exists()
    with scratch() as mine:
        assert sweep() == [left]
        assert not left.exists()
        assert Path(mine).is_dir()
    assert not Path(mine).exists()
    assert sweep() == []


def test_what_may_belong_to_another_stays(place: Path) -> None:
    with scratch() as name:
        _, where, pid, started, _ = Path(name).name.split("-", 4)
    kept = [
        f"autotune-00000000-{pid}-1-x",  # of another machine or container
        f"autotune-{where}-{pid}-{started}-x",
        f"autotune-{where}-pid-1-x",
        "autotune-abc",
        "other",
    ]
    for one in kept:
        (place / one).mkdir()
    (place / f"autotune-{where}-{pid}-1-link").symlink_to(place / "other")
    (place / f"autotune-{where}-{pid}-1-x").mkdir()
    assert sweep() == [place / f"autotune-{where}-{pid}-1-x"]
    assert {path.name for path in place.iterdir()} == {*kept, f"autotune-{where}-{pid}-1-link"}
