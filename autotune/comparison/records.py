"""What a comparison of two tuned files comes to, in plain records."""

from typing import Literal

from autotune.config_file import Evidence
from autotune.spec import PositiveRps, Record, ServingConfig

Verdict = Literal["differs", "noise", "unknown"]
Basis = Literal["direct", "over_default"]
Quantity = Literal[
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "objective_ms",
    "slo_attainment",
    "cpu_ms_per_request",
    "diverged",
    "execution_cpu_ms",
]
"""Named as in the tables of `autotune.rows`; `diverged`: 1 where the queue grows without end."""

ADDED: frozenset[Quantity] = frozenset({"slo_attainment", "diverged"})
"""Quantities whose change is b - a; of all others it is b / a."""


class Difference(Record, frozen=True):
    """One quantity of both files, and whether it differs by more than noise."""

    quantity: Quantity
    a: float | None
    b: float | None
    """As the files have them; None: not measured, or requests were lost."""
    basis: Basis
    """`over_default`: the change is that of the ratio to the runtime's default, which was measured
    in the same rounds, so that a machine that became slower as a whole is no difference."""
    change: float | None
    """b / a of the typical round, or b - a of a share; None: cannot be told."""
    low: float | None
    high: float | None
    """95 % interval of the change; None: no bound is known."""
    chance: float | None
    """How often chance alone makes such a difference, among all of its kind that were compared;
    None: not worked out."""
    verdict: Verdict
    reason: str
    """Why it cannot be told; empty where it can."""


class Answer(Record, frozen=True):
    """What a file answers to a load."""

    config: ServingConfig
    entry_load_rps: PositiveRps
    """Its entry for up to so many requests/s says so."""
    evidence: Evidence
    meets_slo: bool


class LoadCompared(Record, frozen=True):
    """Both answers to one load, and, where both files measured at it, what came of them."""

    load_rps: float
    """a's, or b's where a has none that is nearly as high."""
    a: Answer | None
    b: Answer | None
    """None: the load is above all that the file answers for."""
    differences: list[Difference]
    """Of the answers; empty where not both files measured at this load."""
    default: list[Difference]
    """Of the runtime's default, directly. Where model, machine and runtime are the same in both
    files it is a control: nothing but the machine can have changed it."""


class Premise(Record, frozen=True):
    """What the files do not share."""

    what: str
    a: str
    b: str


class Side(Record, frozen=True):
    """Which search a file is of."""

    model: str
    cpu: str
    cores_usable: int
    runtime: str
    slo: str
    started_at: str
    meets_slo_up_to_rps: float | None
    """None: the SLO is met at no load that it answers for."""


class Comparison(Record, frozen=True):
    """The whole answer."""

    summary: str
    """What changed, in a sentence or two."""
    a: Side
    b: Side
    same_system: bool
    """Whether model, machine and runtime are the same: then the default is a control."""
    machine_moved: bool | None
    """Whether it showed that the machine itself became slower or faster; None: no control."""
    premises: list[Premise]
    """What differs; empty: nothing."""
    execution: Difference | None
    """Of one execution on one thread; None: a file does not hold it."""
    loads: list[LoadCompared]
    """Ascending."""
    notes: list[str]
