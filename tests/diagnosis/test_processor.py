"""Each check on machines made of files: the level, what was found, what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autotune.diagnosis import processor
from autotune.diagnosis.finding import Finding
from autotune.probes.topology import parse_cpus

Tree = Callable[[dict[str, str]], Path]
CPU = "devices/system/cpu/cpu"
EIGHT = parse_cpus("0-7")


def of_each(name: str, *texts: str) -> dict[str, str]:
    return {f"{CPU}{cpu}/{name}": text for cpu, text in enumerate(texts)}


def is_well(one: Finding) -> bool:
    return one.level == "ok" and not one.remedy


def test_where_nothing_is_told_everything_is_unknown(tmp_path: Path) -> None:
    found = [
        processor.smt(EIGHT, tmp_path),
        processor.core_types(EIGHT, tmp_path),
        processor.numa(EIGHT, tmp_path),
        processor.governor(EIGHT, tmp_path),
        processor.turbo(tmp_path),
        processor.virtual_machine(tmp_path),
        processor.clock(tmp_path),
    ]
    assert {one.level for one in found} == {"unknown"}
    assert len({one.check for one in found}) == len(found)


def test_hardware_threads_of_one_core_are_noted(tree: Tree) -> None:
    siblings = [f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)]
    root = tree(of_each("topology/thread_siblings_list", *siblings))
    one = processor.smt(EIGHT, root)
    assert one.level == "note"
    assert one.found == "The 8 usable CPUs are hardware threads of 4 cores."
    assert "taskset -c 0-3 autotune" in one.remedy
    alone = processor.smt(parse_cpus("0-3"), root)
    assert alone.level == "note"
    assert "shares its core with a CPU that others may use" in alone.found


def test_cores_without_siblings_are_well(tree: Tree) -> None:
    root = tree(of_each("topology/thread_siblings_list", *"01234567"))
    one = processor.smt(EIGHT, root)
    assert is_well(one)
    assert "8 usable CPUs" in one.found


def test_cores_of_two_speeds_spoil(tree: Tree) -> None:
    root = tree(of_each("cpu_capacity", *["1024"] * 4, *["512"] * 4))
    one = processor.core_types(EIGHT, root)
    assert one.level == "spoils"
    assert "CPUs 4-7 are slower than CPUs 0-3" in one.found
    assert "taskset -c 0-3" in one.remedy
    assert is_well(processor.core_types(parse_cpus("4-7"), root))


def test_three_kinds_of_core_are_told_apart_from_the_fastest(tree: Tree) -> None:
    kinds = {"core": "0-1", "atom": "2-5", "lowpower": "6-7"}
    root = tree({f"devices/cpu_{kind}/cpus": text for kind, text in kinds.items()})
    assert "CPUs 2-7 are slower than CPUs 0-1" in processor.core_types(EIGHT, root).found


def test_two_memory_nodes_are_noted(tree: Tree) -> None:
    node = "devices/system/node/node"
    root = tree({f"{node}0/cpulist": "0-3", f"{node}1/cpulist": "4-7"})
    one = processor.numa(EIGHT, root)
    assert one.level == "note"
    assert one.found == "The usable CPUs lie in 2 memory nodes (node0: 0-3, node1: 4-7)."
    assert "numactl --cpunodebind=0 --membind=0" in one.remedy
    assert is_well(processor.numa(parse_cpus("4-7"), root))


@pytest.mark.parametrize(
    ("names", "level", "words"),
    [
        (["performance"] * 8, "ok", "performance"),
        (["powersave"] * 8, "spoils", "is powersave:"),
        (["performance"] * 4 + ["schedutil"] * 4, "spoils", "performance and schedutil"),
        (["performance"] * 7, "unknown", "not told"),
    ],
)
def test_a_governor_that_follows_the_load_spoils(
    tree: Tree, names: list[str], level: str, words: str
) -> None:
    one = processor.governor(EIGHT, tree(of_each("cpufreq/scaling_governor", *names)))
    assert one.level == level
    assert words in one.found


@pytest.mark.parametrize(
    ("name", "number", "level", "remedy"),
    [
        ("intel_pstate/no_turbo", "0", "note", "echo 1 | sudo tee"),
        ("intel_pstate/no_turbo", "1", "ok", ""),
        ("cpufreq/boost", "1", "note", "echo 0 | sudo tee"),
        ("cpufreq/boost", "0", "ok", ""),
    ],
)
def test_turbo_is_noted(tree: Tree, name: str, number: str, level: str, remedy: str) -> None:
    one = processor.turbo(tree({f"devices/system/cpu/{name}": number}))
    assert one.level == level
    assert remedy in one.remedy


@pytest.mark.parametrize(
    ("cpuinfo", "level"),
    [
        ("processor : 0\nflags\t\t: fpu hypervisor lahf_lm", "note"),
        ("processor : 0\nflags\t\t: fpu lahf_lm", "ok"),
        ("processor : 0\nFeatures : fp asimd", "unknown"),
    ],
)
def test_a_virtual_machine_is_noted(tree: Tree, cpuinfo: str, level: str) -> None:
    assert processor.virtual_machine(tree({"cpuinfo": cpuinfo})).level == level


@pytest.mark.parametrize(
    ("name", "level"),
    [("tsc", "ok"), ("kvm-clock", "ok"), ("arch_sys_counter", "ok"), ("hpet", "note")],
)
def test_a_slow_clock_is_noted_with_what_to_choose(tree: Tree, name: str, level: str) -> None:
    folder = "devices/system/clocksource/clocksource0"
    files = {
        f"{folder}/current_clocksource": name,
        f"{folder}/available_clocksource": "tsc hpet acpi_pm",
    }
    one = processor.clock(tree(files))
    assert one.level == level
    assert name in one.found
    assert ("tsc hpet acpi_pm" in one.remedy) == (level == "note")
