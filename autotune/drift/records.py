"""What watching found, as plain records."""

from typing import Literal

from autotune.records import Percentile
from autotune.spec import Record, ServingConfig

DriftAnswer = Literal["fits", "slo_missed", "drifted", "too_little"]
ChangeKind = Literal["above_the_table", "burstier", "slower", "faster", "slo_missed"]
LevelAnswer = Literal["fits", "slower", "faster", "slo_missed", "too_little", "never_measured"]


class Change(Record, frozen=True):
    """One way in which the policy no longer fits, proven."""

    kind: ChangeKind
    load_rps: float | None
    """The policy's load at which it was seen; None: it is about arrivals as a whole."""
    percentile: float | None
    """At which it was proven first; None: it is not about one."""
    since_s: float
    """When it most likely began, in the clock of the record."""
    until_s: float | None
    """When it most likely ended; None: it goes on."""
    proven_s: float
    """When it was proven."""
    proven_after: int | None
    """Requests that took, from its beginning on; None: it is about arrivals as a whole."""
    factor: float | None
    """Of a latency, a load or a dispersion over what was promised; None: requests were lost."""
    low: float | None
    high: float | None
    """95 % interval of the factor; None: no bound known."""
    text: str
    """In words."""


class LevelSeen(Record, frozen=True):
    """What was seen at one load of the policy."""

    load_rps: float
    config: ServingConfig
    """That the policy runs there."""
    requests: int
    """Seen at this load and held against it."""
    lost: int
    """Of these, never answered."""
    p50: Percentile | None
    p95: Percentile | None
    p99: Percentile | None
    """None: nothing was seen."""
    slo_attainment: float | None
    answer: LevelAnswer
    watched: list[float]
    """Percentiles that were watched: those the file bounds from above."""


class DriftReport(Record, frozen=True):
    """The whole answer."""

    answer: DriftAnswer
    file: str
    model: str
    slo: str
    observed: str
    """Where the requests come from."""
    requests: int
    started_s: float
    seconds: float
    load_rps: float
    """Mean over the whole record."""
    outside: int
    """Requests in blocks above the table or just after, which are held against no promise."""
    reasons: list[str]
    next_steps: list[str]
    notes: list[str]
    levels: list[LevelSeen]
    changes: list[Change]
    false_alarms: float
    """Chance of any false alarm in the whole record, at most."""
    tolerance: float
    """Share by which latencies and loads may exceed what was promised."""
    tests: int
    block_requests: int
    """Requests that were taken as one observation, because they wait together."""
