"""Nodes of a cluster: which machine type each is of, and whether all run the same software."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from autotune.errors import UsageError
from autotune.probes.machine import Machine
from autotune.spec import Record
from autotune.tabular import printable

LABEL = "machine-type"
"""Of a node in Ray (`--labels machine-type=NAME`); also a resource `machine-type:NAME`."""
_NO_LETTERS = re.compile(r"[^a-z0-9.]+")
_TRADE_MARKS = re.compile(r"\((?:R|TM)\)|\bCPU\b|\bProcessor\b", re.IGNORECASE)


class Node(NamedTuple):
    """A node that Ray says is alive."""

    id: str
    """Ray's."""
    name: str
    """Its address, as a person knows it."""
    named_type: str | None
    """The machine type that its label or resource names."""
    cpus: float
    """That Ray may give to what runs there."""


class Facts(Record, frozen=True):
    """What a node says of itself."""

    machine: Machine
    versions: dict[str, str]


class Member(NamedTuple):
    """A node with what it says of itself."""

    node: Node
    facts: Facts

    @property
    def type(self) -> str:
        """Its machine type: as named, else by its processor, cores and memory."""
        return self.node.named_type or derived_type(self.facts.machine)


def named_type(labels: Mapping[str, str], resources: Mapping[str, float]) -> str | None:
    """Return the machine type that a node's labels or resources name; None: neither does."""
    prefix = f"{LABEL}:"
    by_resource = (name.removeprefix(prefix) for name in resources if name.startswith(prefix))
    return labels.get(LABEL) or next(by_resource, None)


def derived_type(machine: Machine) -> str:
    """Return a name such as `intel-xeon-platinum-8488c-4-cores-16-gib`."""
    cpu = _NO_LETTERS.sub("-", _TRADE_MARKS.sub(" ", machine.cpu).lower()).strip("-")
    gpus = "".join(f"-{_NO_LETTERS.sub('-', name.lower())}" for name in machine.gpus)
    # Machines of one type differ by what their firmware keeps of the memory.
    return f"{cpu}-{machine.cores_usable}-cores-{machine.memory_gib:.0f}-gib{gpus}"


def by_type(members: Sequence[Member]) -> dict[str, list[Member]]:
    """Return the nodes of each machine type, both ascending by name."""

    def order(member: Member) -> tuple[str, str, str]:
        return member.type, member.node.name, member.node.id

    listed = sorted(members, key=order)
    return {name: list(those) for name, those in groupby(listed, key=lambda one: one.type)}


def demand_same_versions(members: Sequence[Member], here: Mapping[str, str]) -> None:
    """Refuse nodes whose software is not that of this one: neither numbers nor records would fit.

    Args:
        members: the nodes.
        here: the versions of this process, by package.

    Raises:
        UsageError: a node differs; it names the node, the package and both versions.
    """
    for member in members:
        versions = member.facts.versions
        for package in sorted(here.keys() | versions.keys()):
            mine, theirs = here.get(package), versions.get(package)
            if mine != theirs:
                raise UsageError(
                    f"node {printable(member.node.name)} has {package} {_said(theirs)}, and this "
                    f"one {_said(mine)}: install the same on all nodes, from one image or "
                    "constraints.txt"
                )


def demand_types(types: Sequence[str], nodes: int) -> None:
    """Refuse a cluster in which nothing can be measured.

    Raises:
        UsageError: no node has CPUs to give.
    """
    if not types:
        what = "has no node" if not nodes else f"has {nodes} nodes, and none has a CPU to give"
        raise UsageError(f"--ray: the cluster {what}: add nodes with `ray start --address ...`")


def twins_of(member: Member, members: Sequence[Member]) -> list[Member]:
    """Return the other nodes of its type, those on which its measurements hold first."""
    others = [one for one in members if one.type == member.type and one.node.id != member.node.id]
    return sorted(others, key=lambda one: one.facts.machine != member.facts.machine)


def _said(version: str | None) -> str:
    return "not at all" if version is None else printable(version)
