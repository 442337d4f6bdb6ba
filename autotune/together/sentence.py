"""The joint answer in words: what to deploy, what it gains, what binds where nothing helps."""

from collections.abc import Sequence

from autotune.together.question import Service
from autotune.together.records import Contender, LargestScale, Placed, Served, Versus, Way
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
    scale: LargestScale | None,
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
    deployed, doubt = _deployed(best.placed), _doubt(best.served)
    first = f"Deploy {deployed}: {', '.join(met)}{doubt}, {best.cores_used:.2f} cores used."
    return " ".join([first, *(_against(best, one, against) for one in contenders[1:])])


def _deployed(placed: Sequence[Placed]) -> str:
    return " and ".join(f"{one.model} with {where(one)}" for one in placed)


def _doubt(served: Sequence[Served]) -> str:
    undecided = any(one.measured.slo_verdict == "undecided" for one in served)
    return " (too few requests to prove it)" if undecided else ""


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


def _missed(best: Contender, services: Sequence[Service], scale: LargestScale) -> str:
    failing = [
        f"{one.service} ({_seen(one, service)})"
        for one, service in zip(best.served, services, strict=True)
        if not one.measured.meets_slo
    ]
    return (
        f"These loads cannot be met together: {' and '.join(failing)} "
        f"{'misses' if len(failing) == 1 else 'miss'} with the best that was measured, "
        f"{_deployed(best.placed)}. {in_words(scale)}"
    )


def _seen(one: Served, service: Service) -> str:
    slo, value_ms = service.slo, one.measured.objective.value_ms
    if value_ms is None:
        return f"too many requests lost for a p{slo.percentile:g}"
    return f"p{slo.percentile:g} {format_ms(value_ms)} ms of {slo.latency_ms:g} ms"


def in_words(scale: LargestScale) -> str:
    """Return how far the loads must be scaled down, and whether that was measured."""
    beyond = f"; at {scale.missed:.2g} x, measured, not" if scale.missed < 1 else ""
    how = f", {_deployed(scale.placed)}" if scale.placed else ""
    if scale.evidence == "measured":
        met = f"all are met as measured{_doubt(scale.served)}"
        return f"At {scale.share:.2g} x these loads {met}{how}{beyond}."
    if scale.share:
        return f"At {scale.share:.2g} x these loads all are predicted to be met{how}{beyond}."
    return f"No share of these loads is predicted to be met{beyond}."
