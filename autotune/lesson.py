"""What one search has to teach others: raw facts, so that what is made of them may change."""

from autotune.spec import (
    Count,
    Positive,
    PositiveMs,
    PositiveRps,
    Record,
    ServingConfig,
    SessionShape,
    Slo,
)
from autotune.traits import MachineTraits, ModelTraits


class SeenTimes(Record, frozen=True):
    """Executions of some sessions at one batch size beside a number of busy replicas."""

    shape: SessionShape
    batch_size: Count
    busy: Count
    """Replicas executing, its own included."""
    seconds: Positive
    """Of the typical execution."""
    law_s: Positive
    """The same by the law that was fitted to the profile's corners."""
    executions: int


class SeenLatency(Record, frozen=True):
    """One configuration at one load."""

    load_rps: PositiveRps
    config: ServingConfig
    predicted_ms: PositiveMs
    """At the SLO's percentile, by all that was seen of service times in the end."""
    measured_ms: PositiveMs
    noise: Positive
    """Standard error of its logarithm."""


class Lesson(Record, frozen=True):
    """All that is kept of a search for others to learn from."""

    model: ModelTraits
    machine: MachineTraits
    cores: Count
    """Of what executes: those of the machine, or one of a GPU."""
    default_threads: Count
    """Intra-op threads that the runtime chooses by default."""
    slo: Slo
    base_s: Positive
    """Of one request on one thread alone."""
    sustainable_rps: float
    """Highest load predicted to meet the SLO; 0: none is."""
    times: list[SeenTimes]
    latencies: list[SeenLatency]


class Starter(Record, frozen=True):
    """Lessons that come with the package."""

    version: int
    made_by: str
    """The version of autotune whose searches they are."""
    recipe: str
    """How they are made again."""
    lessons: list[Lesson]
