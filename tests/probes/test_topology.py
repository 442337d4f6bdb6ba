from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.probes.topology import (
    core_kinds,
    format_cpus,
    numa_nodes,
    parse_cpus,
    physical_cores,
)

Tree = Callable[[dict[str, str]], Path]
CPU = "devices/system/cpu/cpu"


def cpus(text: str) -> frozenset[int]:
    return parse_cpus(text)


@pytest.mark.parametrize(
    ("text", "numbers"), [("", []), ("0", [0]), ("0-3,8", [0, 1, 2, 3, 8]), ("5,7-8\n", [5, 7, 8])]
)
def test_lists_are_read_as_the_kernel_writes_them(text: str, numbers: list[int]) -> None:
    assert sorted(parse_cpus(text)) == numbers


@given(st.frozensets(st.integers(0, 300)))
def test_a_written_list_is_read_back(numbers: frozenset[int]) -> None:
    assert parse_cpus(format_cpus(numbers)) == numbers


def test_a_list_is_written_as_short_as_it_can_be() -> None:
    assert format_cpus(cpus("0,1,2,5,7,8")) == "0-2,5,7-8"


def test_siblings_share_a_core_also_where_one_of_them_is_not_usable(tree: Tree) -> None:
    files = {f"{CPU}{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}" for n in range(8)}
    assert physical_cores(cpus("0,4,1"), tree(files)) == [cpus("0,4"), cpus("1,5")]
    assert physical_cores(cpus("0,8"), tree(files)) is None


def test_only_nodes_with_usable_cpus_count(tree: Tree) -> None:
    files = {f"devices/system/node/node{n}/cpulist": f"{4 * n}-{4 * n + 3}" for n in range(3)}
    found = numa_nodes(cpus("2-5"), tree(files))
    assert found == {"node0": cpus("2-3"), "node1": cpus("4-5")}
    assert numa_nodes(cpus("2-5"), tree({}) / "none") is None


def test_intels_kinds_are_the_first_to_be_asked(tree: Tree) -> None:
    root = tree({"devices/cpu_core/cpus": "0-3", "devices/cpu_atom/cpus": "4-7"})
    assert core_kinds(cpus("2-5"), root) == [cpus("2-3"), cpus("4-5")]
    assert core_kinds(cpus("4-5"), root) == [cpus("4-5")]
    assert core_kinds(cpus("2-9"), root) is None
    root = tree({"devices/cpu_lowpower/cpus": "8-9"})
    assert core_kinds(cpus("2-9"), root) == [cpus("2-3"), cpus("4-7"), cpus("8-9")]


@pytest.mark.parametrize("name", ["cpu_capacity", "cpufreq/cpuinfo_max_freq"])
def test_capacity_or_highest_frequency_tells_slower_cores(tree: Tree, name: str) -> None:
    speeds = {0: 1024, 1: 1000, 2: 600, 3: 580}
    root = tree({f"{CPU}{cpu}/{name}": str(speed) for cpu, speed in speeds.items()})
    assert core_kinds(cpus("0-3"), root) == [cpus("0-1"), cpus("2-3")]
    assert core_kinds(cpus("0-1"), root) == [cpus("0-1")]
    assert core_kinds(cpus("0-4"), root) is None
