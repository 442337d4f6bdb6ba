"""together.autotune.json: what was found for several models on one machine. Plain data."""

from typing import Annotated, Literal

import msgspec

from autotune.config_file import Status, TunedFile
from autotune.probes.machine import Machine
from autotune.records import Summary
from autotune.search_info import StopReason
from autotune.spec import PositiveRps, Record, ServingConfig, Slo

Way = Literal["together", "runner-up", "alone", "even split", "default"]
"""Tuned together; the same, second best; each tuned alone; an even share of the cores, one replica
each; the runtime's default for all."""


class Interference(Record, frozen=True):
    """By how much one model's executions take longer beside another's, as measured."""

    model: str
    beside: str
    apart: float | None
    """With a thread each; None: there is one core."""
    crowded: float
    """With a thread on each core each."""


class Placed(Record, frozen=True):
    """How one model runs."""

    model: str
    config: ServingConfig
    cpus: str | None
    """To which it is confined, as `taskset -c` takes them; None: to none."""


class Served(Record, frozen=True):
    """What requests of one service met."""

    service: str
    measured: Summary


class Contender(Record, frozen=True):
    """One way to run all models, measured in interleaved rounds."""

    way: Way
    placed: list[Placed]
    served: list[Served]
    meets_all: bool
    missed_share: float
    """Of all requests, slower than their SLO or lost."""
    cores_used: float
    """CPU seconds per second."""


class Versus(Record, frozen=True):
    """What is recommended over another way, by rounds under the same arrivals."""

    way: Way
    worst_ratio: float | None
    """Of the worst latency over its SLO; None: requests were lost."""
    low: float | None
    high: float | None
    """95 % interval."""
    cpu_ratio: float
    proven: bool
    """Whether what is recommended is better by more than noise."""
    reason: str


class JointTrial(Record, frozen=True):
    """One measurement before the confirmation."""

    placed: list[Placed]
    predicted_worst: float
    """Latency over its SLO of the worst service, as predicted."""
    measured_worst: float | None
    """None: a model failed, which `failure` says."""
    failure: str | None
    seconds: float


class LargestScale(Record, frozen=True):
    """The share of all loads at which every SLO is kept, where they cannot be met as asked for."""

    share: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    """0: none is predicted to do."""
    evidence: Literal["measured", "predicted"]
    """Whether every SLO was seen to be kept there."""
    missed: Annotated[float, msgspec.Meta(gt=0, le=1)]
    """The least share at which one was missed, as measured; 1: the loads asked for."""
    placed: list[Placed]
    """How all models run there; empty: unknown."""
    served: list[Served]
    """What requests met there; empty: it is predicted."""


class ServiceAsked(Record, frozen=True):
    """One service: a model, or a chain."""

    name: str
    steps: Annotated[list[str], msgspec.Meta(min_length=1)]
    """Names of the models."""
    per_request: list[int]
    """Executions of each for an answer of the one before."""
    slo: Slo
    load_rps: PositiveRps
    arrivals: str


class TogetherFile(Record, frozen=True):
    """The whole file. `members` are tuned files of their own: `FILE#MODEL` names one."""

    format: Literal["autotune-together"]
    schema_version: Literal[2]
    status: Status
    summary: str
    """What to deploy and what it gains, in a sentence or two."""
    services: Annotated[list[ServiceAsked], msgspec.Meta(min_length=1)]
    recommended: list[Placed]
    recommended_way: Way
    contenders: list[Contender]
    """What is recommended first."""
    versus: list[Versus]
    largest_scale: LargestScale | None
    """Where the SLOs cannot be met together: how far the loads must be scaled down."""
    interference: list[Interference]
    trials: list[JointTrial]
    joints: int
    """Joint configurations that were predicted to be worth a look."""
    stopped: StopReason
    started_at: str
    seconds: float
    budget_s: float
    seed: int
    machine: Machine
    autotune: str
    members: dict[str, TunedFile]
    """By model."""
