"""The joint answer in words: what to deploy, what it gains, what binds where nothing helps."""

from collections.abc import Sequence

from autotune.together.question import Service
from autotune.together.records import Contender, Placed, Versus, Way
from autotune.units import format_ms

WAYS: dict[Way, str] = {
    "together": "tuned together",
    "runner-up": "tuned together, second best",
    "alone": "each tuned alone",
    "even split": "an even split of the cores",
    "default": "the runtime's defaults",
}


def summarize_together(
    contenders: Sequence[Contender],
    against: Sequence[Versus],
    services: Sequence[Service],
    scale: float | None,
) -> str:
    """Return a few sentences for a person who reads nothing else."""
    best = contenders[0]
    if scale is not None:
        return _missed(best, services, scale)
    met = [
        f"{one.service} {format_ms(one.measured.objective.value_ms)} ms"
        f" of {service.slo.latency_ms:g}"
        for one, service in zip(best.served, services, strict=True)
    ]
    undecided = any(one.measured.slo_verdict == "undecided" for one in best.served)
    doubt = " (too few requests to prove it)" if undecided else ""
    first = f"Deploy {_deployed(best)}: {', '.join(met)}{doubt}, {best.cores_used:.2f} cores used."
    return " ".join([first, *(_against(best, one, against) for one in contenders[1:])])


def _deployed(best: Contender) -> str:
    return " and ".join(f"{one.model} with {where(one)}" for one in best.placed)


def where(one: Placed) -> str:
    """Return a model's configuration, and to which CPUs it is confined."""
    config = one.config.describe()
    return config if one.cpus is None else f"{config} on CPU {one.cpus}"


def _against(best: Contender, other: Contender, against: Sequence[Versus]) -> str:
    found = next(one for one in against if one.way == other.way)
    missed = f"{100 * other.missed_share:.2g} % of requests missed their SLO"
    ratio = "" if found.worst_ratio is None else f"{found.worst_ratio:.2f} x the worst latency, "
    name = WAYS[other.way]
    return (
        f"With {name}, {missed}; against it: {ratio}{found.cpu_ratio:.2f} x the CPU time "
        f"({found.reason})."
    )


def _missed(best: Contender, services: Sequence[Service], scale: float) -> str:
    failing = [
        f"{one.service} (p{service.slo.percentile:g} "
        f"{format_ms(one.measured.objective.value_ms)} ms of {service.slo.latency_ms:g} ms)"
        for one, service in zip(best.served, services, strict=True)
        if not one.measured.meets_slo
    ]
    hope = (
        f"At {scale:.2f} x these loads all are predicted to be met"
        if scale
        else "No share of these loads is predicted to be met"
    )
    return (
        f"These loads cannot be met together: {' and '.join(failing)} misses with the best that "
        f"was measured, {_deployed(best)}. {hope}."
    )
