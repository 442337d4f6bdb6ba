"""How a search went, as it stands in a tuned file."""

from typing import Literal

from autotune.records import Placement
from autotune.spec import Objective, Record

StopReason = Literal["settled", "verified", "budget", "trials", "interrupted"]


class SearchInfo(Record, frozen=True):
    """How the search went."""

    started_at: str
    seconds: float
    profile_seconds: float
    budget_s: float
    seed: int
    stopped: StopReason
    points: int
    """Configurations in the space."""
    left_out: list[str]
    """Configurations that could not be tried, each with the reason."""
    sustainable_rps: float
    """Highest load predicted to meet the SLO."""
    objective: Objective
    max_risk: float | None
    """Only what was predicted to miss the SLO with less than this chance was tried; None: any."""
    violations: int
    """Measurements, confirmation included, in which the SLO was missed."""
    prediction: "PredictionError | None"
    """None: nothing was measured."""
    compiled_s: float
    """Seconds spent on compiling the model; in no latency."""
    placements: list[Placement]
    """Of each execution provider that was tried."""
    strategy: str
    """Which search said what to measure."""
    learnt: "Learnt | None"
    """None: nothing was there to learn from, as in files before version 7."""


class Learnt(Record, frozen=True):
    """What the search had from others, and what of it proved right."""

    searches: int
    """From which it learnt."""
    version_of: str | None
    """When a model of the same graph, with other weights, was searched for; None: never."""
    times_trust: float | None
    """Chance, by what was measured, that service times err as was learnt; None: nothing was."""
    latency_trust: float | None
    """Likewise, that latency does."""


class PredictionError(Record, frozen=True):
    """How far off the prediction was: median factors over the first measurements of each pair."""

    objective: float
    """Of latency at the SLO's percentile, as predicted just before each measurement."""
    p50: float | None
    """Of the median; None in older files."""
    profile_only: float | None
    """As `objective`, of what was predicted before anything was measured; None in older files."""
    predicted_capacity_rps: float
    capacity_met_rps: float | None
    """The highest load up to which the SLO was met; None: it was met at none."""
    capacity_missed_rps: float | None
    """The lowest load at which it was missed; None: it was missed at none."""
