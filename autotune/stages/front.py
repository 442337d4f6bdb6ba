"""What may be traded: the highest load within the SLO against cores and CPU time."""

from collections.abc import Callable, Iterable

from autotune.config_file import FrontPoint, Trial
from autotune.spec import ServingConfig


def pareto_front(
    trials: Iterable[Trial], cores_of: Callable[[ServingConfig], int]
) -> list[FrontPoint]:
    """Return the measured configurations that no other one beats, by load, then cores.

    A configuration stands for the highest load at which it met the SLO whenever it was measured,
    and at every lower load that it was measured at. It is beaten by one that sustains as much with
    no more cores and no more CPU time per request.
    """
    by_config: dict[ServingConfig, list[Trial]] = {}
    for trial in trials:
        by_config.setdefault(trial.config, []).append(trial)
    points = [
        point
        for config, seen in by_config.items()
        if (point := _highest(config, seen, cores_of(config))) is not None
    ]
    front = [one for one in points if not any(_beats(other, one) for other in points)]
    return sorted(front, key=lambda one: (one.load_rps, one.cores, one.cpu_s_per_request))


def _highest(config: ServingConfig, seen: list[Trial], cores: int) -> FrontPoint | None:
    found: FrontPoint | None = None
    for load_rps in sorted({trial.load_rps for trial in seen}):
        here = [trial.measured for trial in seen if trial.load_rps == load_rps]
        met = [one for one in here if one is not None and one.meets_slo]
        if len(met) < len(here):
            break
        requests = sum(one.requests for one in met)
        cpu_s = sum(one.cpu_s_per_request * one.requests for one in met) / max(1, requests)
        found = FrontPoint(
            config=config,
            cores=cores,
            load_rps=load_rps,
            cpu_s_per_request=cpu_s,
            requests=requests,
        )
    return found


def _beats(one: FrontPoint, other: FrontPoint) -> bool:
    mine = (-one.load_rps, one.cores, one.cpu_s_per_request)
    theirs = (-other.load_rps, other.cores, other.cpu_s_per_request)
    return mine != theirs and all(m <= t for m, t in zip(mine, theirs, strict=True))
