"""Tune inside a CPU quota of one core, and see what the runtime's default does there.

    pip install -c constraints.txt . magika
    python examples/cpu-quota/one_cpu.py

It makes a cgroup as a container's runtime does; that takes root. Who may not make one gets a single
CPU by affinity, which is what --cpuset-cpus gives a container, and is told so.
"""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import autotune

MODEL = "magika:"
SLO_MS = 100
LOAD_RPS = 40
CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
"""The kernel's own, and Docker's and Kubernetes'."""


def own_cgroup(root: Path, listing: str) -> tuple[Path, str]:
    """Return the cgroup that governs this process's CPU time, and the file that limits it.

    Args:
        root: where cgroups are mounted.
        listing: the text of /proc/self/cgroup.
    """
    paths: dict[str, str] = {}
    for line in listing.splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    if "cpu" in paths:  # version 1
        return root / "cpu" / paths["cpu"], "cpu.cfs_quota_us"
    return root / paths[""], "cpu.max"


def make_cgroup(parent: Path, limit: str) -> Path:
    """Make a cgroup below the parent that may use one CPU's worth of time, and return it.

    Raises:
        OSError: this user may not, or the kernel will not divide the parent.
    """
    child = parent / f"autotune-example-{os.getpid()}"
    if limit == "cpu.max":
        (parent / "cgroup.subtree_control").write_text("+cpu")
    child.mkdir()
    try:
        quota = f"{PERIOD_US} {PERIOD_US}" if limit == "cpu.max" else str(PERIOD_US)
        (child / limit).write_text(quota)
    except OSError:
        child.rmdir()
        raise
    return child


@contextmanager
def one_cpu() -> Iterator[Path | None]:
    """Hold this process and its children to one CPU; yield the cgroup, None: by affinity."""
    try:
        parent, limit = own_cgroup(CGROUPS, Path("/proc/self/cgroup").read_text())
        cgroup = make_cgroup(parent, limit)
    except (OSError, KeyError) as error:
        before = os.sched_getaffinity(0)
        print(f"No quota: a cgroup cannot be made here ({error}). One CPU by affinity:")
        try:
            os.sched_setaffinity(0, {min(before)})
            yield None
        finally:
            os.sched_setaffinity(0, before)
        return
    print(f"A quota of one CPU: {cgroup / limit}")
    try:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        yield cgroup
    finally:
        (parent / "cgroup.procs").write_text(str(os.getpid()))
        cgroup.rmdir()


def periods(cgroup: Path) -> tuple[int, int]:
    """Return in how many periods something ran, and stood still because the quota was spent."""
    rows = dict(line.split() for line in (cgroup / "cpu.stat").read_text().splitlines())
    return int(rows["nr_periods"]), int(rows["nr_throttled"])


def measure(config: autotune.ServingConfig, cgroup: Path | None) -> None:
    """Measure one configuration and print a row: latencies, CPU time, periods held back."""
    before = periods(cgroup) if cgroup else (0, 0)
    found = autotune.measure(
        MODEL, slo_ms=SLO_MS, load_rps=LOAD_RPS, config=config, duration_s=4, progress=True
    )
    summary = found.record.sides[0].summary
    held = "no quota"
    if cgroup is not None:
        ran, stood = np.subtract(periods(cgroup), before)
        held = f"{stood} of {ran}"
    # None: so many requests were given up that there is no such percentile.
    latencies_ms = (one.value_ms or math.inf for one in (summary.p50, summary.p99))
    cells = (*latencies_ms, 1e3 * summary.cpu_s_per_request)
    print(f"{config.describe():<26}", *(f"{cell:8.1f}" for cell in cells), f" {held}", flush=True)


def main() -> None:
    """Doctor, search, and both configurations, all within one CPU."""
    tuned_path = Path(tempfile.mkdtemp(prefix="autotune-quota-")) / "model.autotune.json"
    outside = len(os.sched_getaffinity(0))
    with one_cpu() as cgroup:
        for finding in autotune.doctor().record:
            if finding.check in ("quota", "throttling"):
                print(f"doctor: {finding.found} {finding.remedy}")
        tuned = autotune.search(
            MODEL,
            slo_ms=SLO_MS,
            loads_rps=LOAD_RPS,
            budget_s=28,
            output=tuned_path,
            progress=True,
        )
        print(f"\n{tuned}\n")
        print(f"Usable cores: {outside} outside, {tuned.file.machine.cores_usable} inside\n")
        print(f"{'':<26}  p50 ms   p99 ms   CPU ms  periods held back", flush=True)
        default = autotune.ServingConfig()
        one_thread = autotune.ServingConfig(intra_op_threads=1, spinning=False)
        for config in dict.fromkeys([default, one_thread, tuned.config()]):
            measure(config, cgroup)
    print(f"\nThe tuned file: {tuned_path}")


if __name__ == "__main__":
    main()
