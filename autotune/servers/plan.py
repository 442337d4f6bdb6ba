"""What `autotune verify` would do and for how long, without starting anything."""

from autotune.exports.tuned import deployment_of
from autotune.servers.exported import READY_WITHIN_S
from autotune.servers.verify import ALONE_REQUESTS, WARM_SHARE
from autotune.servers.verify_policy import Place, PolicyQuestion, check_model
from autotune.spec import Record, ServingConfig, Slo


class PlannedServer(Record, frozen=True):
    """A server that would be started with one configuration, or is there already."""

    config: ServingConfig
    loads_rps: list[float]
    seconds: float
    """Of driving its loads; starting it and its first requests come on top."""


class VerifyPlan(Record, frozen=True):
    """A verification that would be made."""

    server: str
    url: str | None
    """Of one that runs already; None: it is started here."""
    python: str
    model: str
    slo: Slo
    arrivals: str
    servers: list[PlannedServer]
    duration_s: float
    """Of each load."""
    warm_up_s: float
    """Of each load, driven beforehand and not counted."""
    ready_within_s: float
    """How long each may take to start."""
    alone_requests: int
    """Sent one at a time."""
    seconds: float
    """Of driving all loads."""
    seed: int


def plan_verify(question: PolicyQuestion, place: Place) -> VerifyPlan:
    """Return what `verify_policy` would do.

    Raises:
        UsageError: it is not the model that was tuned.
    """
    path = check_model(question)
    warm_up_s = WARM_SHARE * question.duration_s
    servers = [
        PlannedServer(
            config=deployment_of(question.tuned, entries[-1], path).config,
            loads_rps=[entry.load_rps for entry in entries],
            seconds=len(entries) * (warm_up_s + question.duration_s),
        )
        for entries in question.groups
    ]
    return VerifyPlan(
        server=place.server,
        url=place.url,
        python=str(place.python),
        model=str(path),
        slo=question.tuned.slo,
        arrivals=question.pattern.describe(),
        servers=servers,
        duration_s=question.duration_s,
        warm_up_s=warm_up_s,
        ready_within_s=READY_WITHIN_S,
        alone_requests=ALONE_REQUESTS,
        seconds=sum(one.seconds for one in servers),
        seed=question.seed,
    )
