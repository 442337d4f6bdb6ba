"""Processes below this one: children that measure, and workers below them."""

import os
import subprocess
from pathlib import Path

from autotune.arrivals import Traffic, draw
from autotune.outcome import TrialOutcome
from autotune.spec import ServingConfig, TrialSpec
from autotune.trial.bench import Bench


def measured(bench: Bench, config: ServingConfig) -> TrialOutcome:
    """Serve a quarter of a second."""
    arrivals_s = draw(Traffic(load_rps=200), 0.25, (1,))
    return bench.measure(TrialSpec(config=config, arrivals_s=arrivals_s.tolist(), grace_s=0.5))


def workers() -> list[int]:
    """Processes of replicas below the children of this one."""
    listing = subprocess.run(["ps", "-wweo", "pid,ppid,args"], capture_output=True, text=True)
    rows = [line.split(maxsplit=2) for line in listing.stdout.splitlines()[1:]]
    below = {str(os.getpid())}
    for _ in range(2):  # supervisors, and children below them
        below = {pid for pid, parent, _ in rows if parent in below}
    return [int(pid) for pid, parent, args in rows if parent in below and "worker_main" in args]


def environment(pid: int) -> dict[str, str]:
    """With what a process was started."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
