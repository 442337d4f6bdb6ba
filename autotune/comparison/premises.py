"""What two tuned files share and what not: which comparisons are fair, and which would lie."""

import re

from autotune.comparison.records import Premise
from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.units import format_shape

_SEED = re.compile(r"; generated, seed \d+$|^generated, seed \d+$")
_SAME_MACHINE = ("cpu", "architecture", "cores_usable", "cpu_quota")
"""Of a machine's fingerprint, what a promise rests on; an update of the kernel is only named."""


def check_comparable(a: TunedFile, b: TunedFile) -> None:
    """Refuse files whose numbers say nothing of each other.

    Raises:
        UsageError: requests arrive otherwise, or are others.
    """
    if a.arrivals != b.arrivals:
        raise UsageError(
            f"a was measured with arrivals {a.arrivals}, b with {b.arrivals}: latencies under "
            "different traffic cannot be compared; search again with the same --arrivals or --trace"
        )
    if _shapes(a) != _shapes(b):
        raise UsageError(
            f"a request is {_request(a)} in a and {_request(b)} in b: other work cannot be "
            "compared; search again with the same --shape or --input"
        )
    if _mix(a) != _mix(b):
        raise UsageError(
            f"requests are {_mix(a) or 'of one kind'} in a and {_mix(b) or 'of one kind'} in b: "
            "other work cannot be compared; search again with the same --requests"
        )


def same_system(a: TunedFile, b: TunedFile) -> bool:
    """Whether nothing but time and settings of the search lies between the files."""
    same = a.model.sha256 == b.model.sha256 and a.runtime == b.runtime
    return same and same_machine(a, b) and _through(a) == _through(b)


def same_machine(a: TunedFile, b: TunedFile) -> bool:
    """Whether both were measured on one machine, as far as its fingerprint tells."""
    return all(getattr(a.machine, one) == getattr(b.machine, one) for one in _SAME_MACHINE)


def work_of(tuned: TunedFile) -> str:
    """Return where requests came from, but for the seed of what was generated."""
    return _SEED.sub("", tuned.model.request_source)


def premises(a: TunedFile, b: TunedFile) -> list[Premise]:
    """Return what the files do not share, what matters most first."""
    return [
        Premise(what=what, a=mine, b=others)
        for (what, mine), (_, others) in zip(_described(a), _described(b), strict=True)
        if mine != others
    ]


def _described(tuned: TunedFile) -> list[tuple[str, str]]:
    machine, search = tuned.machine, tuned.search
    quota = "none" if machine.cpu_quota is None else f"{machine.cpu_quota:g} cores"
    risk = "any" if search.max_risk is None else f"{100 * search.max_risk:g} %"
    return [
        ("model", f"{tuned.model.name} ({tuned.model.sha256[:12]})"),
        ("CPU", machine.cpu),
        ("architecture", machine.architecture),
        ("usable cores", str(machine.cores_usable)),
        ("CPU quota", quota),
        ("memory", f"{machine.memory_gib:g} GiB"),
        ("operating system", machine.os),
        ("runtime", tuned.runtime),
        ("through", _through(tuned)),
        ("SLO", str(tuned.slo)),
        ("requests", tuned.model.request_source),
        ("objective", search.objective),
        ("risk allowed", risk),
        ("budget", f"{search.budget_s:g} s"),
        ("seed", str(search.seed)),
        ("autotune", tuned.autotune),
        ("status", tuned.status),
    ]


def _through(tuned: TunedFile) -> str:
    return "the engine" if tuned.target is None else tuned.target.describe()


def _shapes(tuned: TunedFile) -> list[list[int]]:
    """Without names, which a model's next version may change."""
    return sorted(tuned.model.request_shapes.values())


def _request(tuned: TunedFile) -> str:
    shapes = tuned.model.request_shapes.items()
    return ", ".join(f"{name} {format_shape(shape) or 'scalar'}" for name, shape in shapes)


def _mix(tuned: TunedFile) -> str:
    """The kinds of requests and their shares; empty where there is but one kind."""
    source = work_of(tuned)
    return source if re.match(r"\S+ % ", source) else ""
