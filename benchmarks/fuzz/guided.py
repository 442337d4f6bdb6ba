"""Fuzzing guided by coverage, of all that the parent reads (with `pip install atheris`)."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.tally import Tally, Try

_DONE = re.compile(r"Done (\d+) ")
_LIMIT_S = 3600.0


def run(runs: int, seed: int, keep: Path | None) -> Tally:
    """Run the fuzzer in a process of its own."""
    tally = Tally("guided by coverage", keep)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autotune-fuzz-") as folder:
        command = [sys.executable, "-m", "fuzz.guided_child", str(runs), str(seed), folder]
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            text=True,
            timeout=_LIMIT_S,
        )
        found = _DONE.search(done.stdout)
        if done.returncode == 0 and found is not None:
            tally.ends["well"] += int(found[1])
        else:
            crashes = sorted(Path(folder).glob("crash-*"))
            data = crashes[0].read_bytes() if crashes else b""
            tally.add(Try("unclear", done.stdout[-3000:]), data)
    tally.seconds = time.monotonic() - started_s
    return tally
