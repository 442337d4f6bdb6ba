"""What a search reports while it runs. Anyone may watch: a screen, a log, a test."""

from collections.abc import Callable
from typing import Literal

from autotune.config_file import Phase
from autotune.outcome import ModelInfo
from autotune.records import Failed, Summary
from autotune.spec import Record, ServingConfig, Slo
from autotune.stats.judge import Decision
from autotune.trial.wire import Opening


class Loading(Record, frozen=True):
    """The model is about to be loaded for the first time."""

    name: str
    """As the person named it."""
    slo: Slo
    bytes: int
    """Of the model's files."""

    @property
    def step(self) -> str:
        """The step in words: `loading the model (2.1 GB)`."""
        units = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
        unit, size = next((one for one in units if self.bytes >= one[1]), ("bytes", 1))
        return f"loading the model ({self.bytes / size:.3g} {unit})"


class Started(Record, frozen=True):
    """A long step began."""

    step: str
    ends_in_s: float | None = None
    """Seconds until everything ends at the latest; None: not known, or as said before."""


class Doing(Record, frozen=True):
    """Something of a step began; what comes of it is told when it ends."""

    what: str
    seconds: float | None = None
    """That it takes once its sessions stand; None: not known."""


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


class Standing(Record, frozen=True):
    """What is believed of one load now."""

    best: ServingConfig | None
    """The best known configuration; None: none that was measured works."""
    doubt: float | None
    """The chance that something not measured is over 3 % better; None: than nothing."""


class Tried(Record, frozen=True):
    """One open-loop measurement ended."""

    phase: Phase | Literal["check", "compare"]
    load_rps: float
    config: ServingConfig
    predicted_ms: float | None
    """In `check`, what the file promises; None: nothing was expected."""
    result: Summary | Failed
    best: ServingConfig | None
    """The best known configuration at this load now; None: none is known, or none is looked for."""
    ends_in_s: float
    so_far: Summary | None = None
    """All rounds of this configuration so far, taken together; None: there are no rounds."""
    round_number: int = 0
    """From 1; 0: there are no rounds."""
    rounds: int = 0
    standings: tuple[Standing, ...] = ()
    """By load, ascending: a measurement at one changes what is believed of all. Empty: no news."""


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
    warning: bool = False
    """Whether it spoils the answer, or a part of it."""


class Stored(Record, frozen=True):
    """Something that was measured is in the store."""


Event = (
    Loading
    | Opening
    | Started
    | Doing
    | Inspected
    | Profiled
    | Predicted
    | Tried
    | Looked
    | Stored
    | Said
)
Observer = Callable[[Event], None]
