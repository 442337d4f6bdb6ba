"""Which machine type a node is of, and whether nodes run the same."""

import pytest
from fleet_made import member
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from autotune.errors import UsageError
from autotune.fleet.nodes import (
    by_type,
    demand_same_versions,
    derived_type,
    named_type,
    twins_of,
)
from autotune.probes.machine import Machine

XEON = Machine(
    cpu="Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz",
    architecture="x86_64",
    os="Linux 6.1",
    cores_usable=4,
    cpu_quota=None,
    memory_gib=15.6,
)


def test_a_label_names_the_type_or_a_resource_does() -> None:
    assert named_type({"machine-type": "c7g.large"}, {"CPU": 2.0}) == "c7g.large"
    assert named_type({}, {"CPU": 2.0, "machine-type:c7i.large": 1.0}) == "c7i.large"
    assert named_type({"ray.io/node-id": "x"}, {"CPU": 2.0, "node:10.0.0.1": 1.0}) is None


def test_else_it_is_what_the_machine_is() -> None:
    name = "intel-xeon-platinum-8488c-2.40ghz-4-cores-16-gib"
    assert derived_type(XEON) == name
    # What firmware and kernel keep of the memory differs from machine to machine.
    assert derived_type(structs.replace(XEON, memory_gib=15.8, os="Linux 6.2")) == name
    assert derived_type(structs.replace(XEON, cores_usable=8)) != name


@given(st.permutations(["a", "b", "c", "d"]))
def test_types_and_nodes_are_ascending_however_they_come(order: list[str]) -> None:
    types = {"a": "large", "b": "small", "c": "large", "d": "medium"}
    found = by_type([member(name, types[name]) for name in order])
    assert list(found) == ["large", "medium", "small"]
    assert [one.node.name for one in found["large"]] == ["a", "c"]


def test_twins_are_others_of_the_type_those_that_are_alike_first() -> None:
    one, same = member("a", "t"), member("d", "t")
    other, another_type = member("b", "t", cpu="another"), member("c", "u")
    found = twins_of(one, [one, other, another_type, same])
    assert [twin.node.name for twin in found] == ["d", "b"]


def test_a_difference_names_node_package_and_both_versions() -> None:
    one = member("10.0.0.7", "t")
    here = {**one.facts.versions}
    demand_same_versions([one], here)
    with pytest.raises(UsageError, match=r"^node 10\.0\.0\.7 has ray .*, and this one 2\.0\.0: "):
        demand_same_versions([one], {**here, "ray": "2.0.0"})
    with pytest.raises(UsageError, match=r"has torch not at all, and this one 2\.9"):
        demand_same_versions([one], {**here, "torch": "2.9"})
