"""What a search reports while it runs. Anyone may watch: a screen, a log, a test."""

from collections.abc import Callable

from autotune.config_file import Phase
from autotune.outcome import ModelInfo
from autotune.records import Failed, Summary
from autotune.spec import Record, ServingConfig
from autotune.stats.judge import Decision


class Started(Record, frozen=True):
    """A long step began."""

    step: str


class Inspected(Record, frozen=True):
    """The model was loaded and run."""

    info: ModelInfo
    cores: int


class Profiled(Record, frozen=True):
    """One corner of the profile was measured."""

    label: str
    median_ms: float


class Predicted(Record, frozen=True):
    """The first complete answer: the best configuration at each load, by prediction alone."""

    loads_rps: list[float]
    configs: list[ServingConfig]
    predicted_ms: list[float]
    points: int
    sustainable_rps: float
    ends_in_s: float


class Tried(Record, frozen=True):
    """One open-loop measurement ended."""

    phase: Phase
    load_rps: float
    config: ServingConfig
    predicted_ms: float
    result: Summary | Failed
    best: ServingConfig | None
    """The best known configuration at this load now."""
    ends_in_s: float


class Looked(Record, frozen=True):
    """A look at a run under way."""

    elapsed_s: float
    requests: int
    """Served so far."""
    over: int
    """Of these, slower than the SLO."""
    decision: Decision


class Said(Record, frozen=True):
    """Something a person should know."""

    text: str


Event = Started | Inspected | Profiled | Predicted | Tried | Looked | Said
Observer = Callable[[Event], None]
