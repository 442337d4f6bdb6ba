"""What a person asks for several models on one machine."""

import math
from pathlib import Path

from msgspec import structs

from autotune.arrivals import Traffic
from autotune.spec import ModelSpec, Record, Slo
from autotune.stages.question import Keeping

MOST_MODELS = 8
"""More would leave each less than a person could tell apart in a few minutes of measuring."""


class Step(Record, frozen=True):
    """One model, and how often a request executes it."""

    name: str
    model: ModelSpec
    per_request: int = 1
    """Executions for each answer of the step before: a detector's crops, each to be classified."""


class Service(Record, frozen=True, eq=False):
    """Requests with one SLO from end to end: to a model, or through a chain of them."""

    name: str
    steps: tuple[Step, ...]
    slo: Slo
    traffic: Traffic

    def executions(self, step: int) -> int:
        """Return how often a request executes a step."""
        return math.prod(one.per_request for one in self.steps[: step + 1])


class Model(Record, frozen=True, eq=False):
    """One model of all, with where it stands."""

    name: str
    spec: ModelSpec
    service: int
    step: int
    load_rps: float
    """Executions of it that are asked for, per second."""


class TogetherQuestion(Record, frozen=True, eq=False):
    """One search for several models."""

    services: tuple[Service, ...]
    budget_s: float | None
    """Seconds for the whole search; None: enough for their number."""
    seed: int
    output: Path | None
    """File to write; None: nothing is written."""
    keeping: Keeping = Keeping()

    def at(self, scale: float) -> "TogetherQuestion":
        """Return the same at a share of all loads."""
        if scale == 1:
            return self
        services = tuple(
            structs.replace(one, traffic=one.traffic.at(scale * one.traffic.load_rps))
            for one in self.services
        )
        return structs.replace(self, services=services)

    @property
    def models(self) -> list[Model]:
        """All models, service by service."""
        return [
            Model(
                name=step.name,
                spec=step.model,
                service=number,
                step=place,
                load_rps=service.traffic.load_rps * service.executions(place),
            )
            for number, service in enumerate(self.services)
            for place, step in enumerate(service.steps)
        ]
