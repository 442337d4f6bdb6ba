from collections.abc import Callable
from pathlib import Path

import pytest

from autotune.probes.energy import Domain, Energy, energy_uj, joules_between

Tree = Callable[[dict[str, str]], Path]


def domain(folder: str, name: str, energy: int) -> dict[str, str]:
    return {
        f"{folder}/name": name,
        f"{folder}/energy_uj": str(energy),
        f"{folder}/max_energy_range_uj": "999999",
    }


def reading(*energies: int, range_uj: int | None = 999_999) -> Energy:
    domains = {
        f"package-{number}": Domain(energy_uj=energy, range_uj=range_uj)
        for number, energy in enumerate(energies)
    }
    return Energy(state="read", domains=domains)


def test_packages_are_read_and_what_they_contain_or_what_contains_them_is_not(tree: Tree) -> None:
    root = tree(
        domain("intel-rapl:0", "package-0", 100)
        | domain("intel-rapl:0:0", "core", 60)
        | domain("intel-rapl:0:1", "package-in-name-only", 60)
        | domain("intel-rapl:1", "package-1", 200)
        | domain("intel-rapl:2", "psys", 900)
        | domain("intel-rapl-mmio:0", "package-0", 100)
    )
    assert energy_uj(root) == reading(100, 200)


def test_no_counter_is_absent(tree: Tree, tmp_path: Path) -> None:
    assert energy_uj(tmp_path / "none") == Energy(state="absent", domains={})
    assert energy_uj(tree(domain("intel-rapl:0", "psys", 1))).state == "absent"


def test_a_counter_that_may_not_be_read_spoils_the_sum(tree: Tree) -> None:
    root = tree(domain("intel-rapl:0", "package-0", 1) | domain("intel-rapl:1", "package-1", 1))
    (root / "intel-rapl:1/energy_uj").unlink()
    # Unreadable for root, too.
    (root / "intel-rapl:1/energy_uj").mkdir()
    assert energy_uj(root) == Energy(state="unreadable", domains={})


@pytest.mark.parametrize(
    ("before", "after", "joules"),
    [((0, 0), (500_000, 250_000), 0.75), ((5,), (5,), 0.0), ((900_000,), (100_000,), 0.2)],
)
def test_joules_are_the_sum_over_packages_also_where_a_counter_began_again(
    before: tuple[int, ...], after: tuple[int, ...], joules: float
) -> None:
    assert joules_between(reading(*before), reading(*after)) == joules


def test_joules_that_cannot_be_told_are_none() -> None:
    absent = Energy(state="absent", domains={})
    assert joules_between(absent, absent) is None
    assert joules_between(reading(1), absent) is None
    assert joules_between(reading(1), reading(1, 2)) is None
    assert joules_between(reading(9), reading(1, range_uj=None)) is None
