"""Every fault, by name."""

from collections.abc import Callable
from functools import partial

from faults import children, kills, places, times
from faults.tally import Tally

Fault = Callable[[int, int], Tally]


def faults(killed: int, tries: int) -> dict[str, tuple[Fault, int]]:
    """Return every fault by name, and how often to try it."""
    few = max(1, tries // 4)
    misbehaving: dict[str, tuple[Fault, int]] = {
        f"model-{kind}": (partial(children.misbehaving, kind), max(1, tries // 7))
        for kind in children.KINDS
    }
    return {
        "kill-search": (kills.parents, killed),
        "kill-children": (kills.children, killed // 4),
        "kill-commit": (kills.commits, killed),
        "kill-write": (kills.writes, killed),
        **misbehaving,
        "full-store": (places.full_store, few),
        "full-output": (places.full_output, few),
        "read-only": (places.read_only, max(1, few // 2)),
        "broken-store": (places.broken_store, tries),
        "other-versions": (places.other_versions, max(1, few // 2)),
        "suspended": (times.suspended, tries),
        "clock": (times.stepping_clock, max(1, few // 2)),
        "cores": (times.fewer_cores, few),
        "two-at-once": (times.two_at_once, max(1, few // 2)),
    }
