"""The seam between the search and the rest: ask for a pair to measure, tell what came of it."""

from typing import NamedTuple, Protocol

from autotune.outcome import Samples


class Pair(NamedTuple):
    """One thing to measure: a load level and a point of the lattice, by index."""

    load: int
    point: int


class Observation(NamedTuple):
    """What a measurement said about a pair."""

    log_ratio: float | None
    """Natural log of measured over predicted latency; None: the configuration failed."""
    noise: float
    """Standard error of `log_ratio`."""


class Strategy(Protocol):
    """A search over (load, point) pairs. Deterministic given its seed and what it was told."""

    def ask(self, cost_s: Samples) -> Pair | None:
        """Return the pair to measure next; None when no further measurement is worth it.

        Args:
            cost_s: seconds that measuring each pair would take now, shape (loads, points).
        """

    def tell(self, pair: Pair, observation: Observation) -> None:
        """Learn from a measurement."""

    def best(self, load: int) -> list[int]:
        """Return the measured points that work at this load, best first."""

    def estimated_s(self) -> Samples:
        """Return the expected latency of every pair in seconds, shape (loads, points)."""
