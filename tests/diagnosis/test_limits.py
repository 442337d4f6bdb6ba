from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from autotune.diagnosis import limits
from autotune.probes.cores import Cores
from autotune.probes.disturbance import Counters, between

Tree = Callable[[dict[str, str]], Path]
START = Counters(
    time_s=0.0,
    cpus=(0, 1),
    busy_s=0.0,
    steal_s=0.0,
    throttled_periods=0,
    throttled_s=0.0,
    own_cpu_s=0.0,
    involuntary_switches=0,
    major_faults=0,
    swapped_pages=0,
    memory_pressure_s=0.0,
    frequency_mhz=None,
)
SECOND = msgspec.structs.replace(START, time_s=1.0)
CALM = between(START, SECOND)


@pytest.mark.parametrize(
    ("affinity", "quota", "level", "words"),
    [
        (4, None, "ok", "No CPU quota below the 4 usable CPUs."),
        (4, 4.0, "ok", "No CPU quota"),
        (4, 2.0, "note", "grants 2 of 4 CPUs"),
        (4, 1.5, "spoils", "grants 1.5 of 4 CPUs"),
        (1, 0.5, "spoils", "grants 0.5 of 1 CPUs"),
    ],
)
def test_a_fractional_quota_spoils_and_a_whole_one_is_noted(
    affinity: int, quota: float | None, level: str, words: str
) -> None:
    one = limits.quota(Cores(affinity=affinity, quota=quota))
    assert one.level == level
    assert words in one.found


def test_throttling_of_the_past_is_noted_and_of_now_spoils() -> None:
    seen = msgspec.structs.replace(START, throttled_periods=7, throttled_s=2.5)
    past = limits.throttling(seen, CALM)
    assert past.level == "note"
    assert "7 quota periods (2.5 s), not just now" in past.found
    now = limits.throttling(seen, msgspec.structs.replace(CALM, throttled_periods=1))
    assert now.level == "spoils"
    assert "also just now" in now.found


def test_no_throttling_is_told_from_throttling_that_is_not_counted() -> None:
    assert limits.throttling(START, CALM).level == "ok"
    untold = msgspec.structs.replace(START, throttled_periods=None, throttled_s=None)
    assert limits.throttling(untold, CALM).level == "unknown"


@pytest.mark.parametrize(
    ("available_mib", "swap_free_mib", "moved", "level", "words"),
    [
        (8192, 2048, 0, "ok", "8.0 GiB are available, 0.0 GiB are swapped out."),
        (8192, 1024, 0, "note", "1.0 GiB are swapped out."),
        (8192, 2048, 3, "spoils", "3 pages moved just now."),
        (512, 2048, 0, "spoils", "0.5 GiB are available"),
    ],
)
def test_scarce_memory_spoils_and_old_swap_is_noted(
    tree: Tree, available_mib: int, swap_free_mib: int, moved: int, level: str, words: str
) -> None:
    meminfo = (
        f"MemAvailable: {available_mib * 1024} kB\n"
        f"SwapTotal: {2048 * 1024} kB\nSwapFree: {swap_free_mib * 1024} kB"
    )
    sample = msgspec.structs.replace(CALM, swapped_pages=moved)
    folder = tree({"proc/meminfo": meminfo})
    one = limits.memory(sample, folder / "proc", folder / "cgroup")
    assert one.level == level
    assert words in one.found


def test_memory_that_is_not_told_is_unknown(tmp_path: Path) -> None:
    assert limits.memory(CALM, tmp_path, tmp_path).level == "unknown"


def test_energy_that_may_not_be_read_is_told_from_energy_that_is_not_there(tree: Tree) -> None:
    assert "No energy counters" in limits.energy(tree({}) / "none").found
    folder = tree({"intel-rapl:0/name": "package-0"})
    forbidden = limits.energy(folder)
    assert forbidden.level == "note"
    assert "may not be read" in forbidden.found
    assert "chmod a+r" in forbidden.remedy
    readable = limits.energy(tree({"intel-rapl:0/energy_uj": "5"}))
    assert (readable.level, readable.found) == ("ok", "Energy can be read of package-0.")


def test_gpus_whose_energy_can_be_read_are_told_beside_the_processor(tree: Tree) -> None:
    gpus_mj = {"GPU-a": 1, "GPU-b": 2}
    assert limits.energy(tree({}) / "none", gpus_mj).found.endswith("Of 2 GPUs it can be read.")
    folder = tree({"intel-rapl:0/name": "package-0", "intel-rapl:0/energy_uj": "5"})
    assert limits.energy(folder, gpus_mj).found == "Energy can be read of package-0 and 2 GPUs."
