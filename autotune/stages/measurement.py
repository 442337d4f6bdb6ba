"""What `autotune measure` found, as records that print as JSON."""

from typing import Literal

from autotune.outcome import Stopped
from autotune.probes.machine import Machine
from autotune.records import Summary
from autotune.spec import Record, ServingConfig, Slo
from autotune.stats.breakdown import AfterIdle, Histogram, Parts

SloAnswer = Literal["PASS", "FAIL", "UNDECIDED"]


class Validity(Record, frozen=True):
    """Whether the numbers may be believed."""

    valid: bool
    reasons: list[str]
    """Why not."""
    next_steps: list[str]
    """What to do, for each reason, and where the SLO stayed undecided."""
    notes: list[str]
    """What is true of the configuration, and worth knowing."""


class SloResult(Record, frozen=True):
    """The SLO's verdict with its evidence."""

    answer: SloAnswer
    confidence: float
    """Each of PASS and FAIL is wrong at most so rarely: 0.99 means once in a hundred."""
    requests: int
    """Judged: those after the lead-in."""
    over: int
    """Of these, slower than the SLO or lost."""
    independent: float
    """How many independent requests they are worth; queueing makes neighbours alike."""
    stopped: Stopped


class Side(Record, frozen=True):
    """One configuration, measured."""

    config: ServingConfig
    validity: Validity
    slo: SloResult
    summary: Summary
    mean: Parts
    slowest: Parts
    """Of the slowest requests: those beyond the SLO's percentile."""
    histogram: Histogram
    after_idle: AfterIdle | None
    idle_cores: float
    """CPU seconds per second that the loaded sessions use with nothing to do."""
    served_rps: float
    """Requests answered per second of the run."""
    windows: int
    seconds: float
    """Of measuring, lead-ins included."""


class Difference(Record, frozen=True):
    """The first configuration over the second, by rounds under the same arrivals."""

    what: str
    """`p99`, `CPU time per request`, ..."""
    ratio: float | None
    """Below 1: the first is less. None: one of them lost too many requests."""
    low: float | None
    high: float | None
    """95 % interval."""
    p_value: float
    differs: bool
    """More than noise, at 5 %."""


class Measurement(Record, frozen=True):
    """The whole answer."""

    model: str
    sha256: str
    arrivals: str
    load_rps: float
    slo: Slo
    sides: list[Side]
    """One, or the two that were compared."""
    differences: list[Difference]
    """Empty unless two were compared; the first is at the SLO's percentile."""
    machine: Machine
    runtime: str
    autotune: str
    seed: int
