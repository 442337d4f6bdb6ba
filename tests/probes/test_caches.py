from collections.abc import Callable
from pathlib import Path

import pytest

from autotune.probes.caches import cache_bytes, highest_clock_ghz
from autotune.probes.cores import usable_cpus

Tree = Callable[[dict[str, str]], Path]
CPU = "devices/system/cpu/cpu"


def cache(cpu: int, index: int, level: int, size: str, kind: str = "Unified") -> dict[str, str]:
    folder = f"{CPU}{cpu}/cache/index{index}"
    return {f"{folder}/level": str(level), f"{folder}/size": size, f"{folder}/type": kind}


def test_sizes_are_told_by_level(tree: Tree) -> None:
    sys = tree(
        cache(0, 0, 1, "48K", "Data")
        | cache(0, 1, 1, "32K", "Instruction")
        | cache(0, 2, 2, "2048K")
        | cache(0, 3, 3, "266240K")
    )
    assert cache_bytes([0], 1, sys) == 48 << 10
    assert cache_bytes([0], 2, sys) == 2 << 20
    assert cache_bytes([0], 3, sys) == 260 << 20
    assert cache_bytes([0], 4, sys) is None


def test_the_smallest_of_the_usable_cores_counts(tree: Tree) -> None:
    sys = tree(cache(0, 2, 2, "2M") | cache(1, 2, 2, "512K") | cache(2, 2, 2, "256K"))
    assert cache_bytes([0, 1], 2, sys) == 512 << 10
    assert cache_bytes([0, 7], 2, sys) == 2 << 20


@pytest.mark.parametrize("size", ["", "many", "0K", "-1K", "1T"])
def test_a_size_that_says_nothing_is_none(tree: Tree, size: str) -> None:
    assert cache_bytes([0], 2, tree(cache(0, 2, 2, size))) is None


def test_the_highest_clock_that_is_stated_counts(tree: Tree) -> None:
    root = tree(
        {
            "proc/cpuinfo": "processor\t: 0\ncpu MHz\t\t: 2299.998\n\ncpu MHz\t\t: 800.0",
            f"sys/{CPU}0/cpufreq/cpuinfo_max_freq": "3500000",
            f"sys/{CPU}1/cpufreq/cpuinfo_max_freq": "5100000",
        }
    )
    both = frozenset({0, 1})
    assert highest_clock_ghz(both, root / "sys", root / "proc") == 5.1
    assert highest_clock_ghz(frozenset({0}), root / "sys", root / "proc") == 3.5
    # As in a virtual machine.
    assert highest_clock_ghz(both, root / "none", root / "proc") == pytest.approx(2.299998)
    assert highest_clock_ghz(both, root / "none", root / "none") is None


def test_this_machine_is_read() -> None:
    sizes = [cache_bytes(usable_cpus(), level) for level in (1, 2, 3)]
    assert all(size is None or size >= 1 << 12 for size in sizes)
    assert (highest_clock_ghz(usable_cpus()) or 1.0) > 0.1
