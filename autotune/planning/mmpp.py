"""Markov-modulated Poisson processes of two phases: described, drawn, thinned.

After W. Fischer and K. Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook",
Performance Evaluation 18 (1993).
"""

import math

import numpy as np

from autotune.outcome import Samples
from autotune.spec import Record

_MOST_PHASES = 1 << 16
"""That are drawn at a time."""


class Mmpp(Record, frozen=True):
    """Poisson arrivals at one of two rates, which change after exponential times.

    Rates that are equal make a Poisson process, whatever the switching.

    Raises:
        ValueError: a rate is negative or not finite, both are zero, or a phase never ends.
    """

    rates_rps: tuple[float, float]
    switching_per_s: tuple[float, float]
    """Rates at which phase 0 and phase 1 end."""

    def __post_init__(self) -> None:
        """Check the numbers, for those of a file too."""
        rates, switching = self.rates_rps, self.switching_per_s
        if not (all(0 <= rate < math.inf for rate in rates) and max(rates) > 0):
            raise ValueError(f"rates of {rates} requests/s: must be finite, one above zero")
        if not all(0 < rate < math.inf for rate in switching):
            raise ValueError(f"switching of {switching} per s: must be finite and above zero")

    @property
    def is_poisson(self) -> bool:
        """Whether both rates are the same."""
        return self.rates_rps[0] == self.rates_rps[1]

    @property
    def stationary(self) -> Samples:
        """Share of the time that each phase takes, shape (2,)."""
        first, second = self.switching_per_s
        return np.array([second, first]) / (first + second)

    @property
    def mean_rps(self) -> float:
        """Requests/s over a long time."""
        return float(self.stationary @ self.rates_rps)

    @property
    def phase_s(self) -> tuple[float, float]:
        """Mean seconds that each phase lasts."""
        return 1 / self.switching_per_s[0], 1 / self.switching_per_s[1]

    @property
    def d0(self) -> Samples:
        """Generator of the phases without an arrival, 1/s, shape (2, 2)."""
        return self.d - self.d1

    @property
    def d1(self) -> Samples:
        """Rates of arrivals, 1/s, shape (2, 2), diagonal: none changes the phase."""
        return np.diag(np.array(self.rates_rps))

    @property
    def d(self) -> Samples:
        """Generator of the phases, 1/s, shape (2, 2)."""
        first, second = self.switching_per_s
        return np.array([[-first, first], [second, -second]])

    def dispersion(self, window_s: Samples) -> Samples:
        """Return variance over mean of the requests in windows of so many seconds, any shape.

        Fischer and Meier-Hellstern, section 3: with the sum r of the switching rates it is
        1 + 2 v / (m r) (1 - (1 - exp(-r t)) / (r t)), v the variance of the rate, m its mean.
        """
        shares, rates = self.stationary, np.array(self.rates_rps)
        variance = float(np.prod(shares) * (rates[0] - rates[1]) ** 2)
        total = sum(self.switching_per_s)
        passed = total * np.asarray(window_s, dtype=np.float64)
        some = np.maximum(passed, 1e-6)
        # Below that the difference would cancel: it is t/2 to first order.
        grown = np.where(passed > 1e-6, 1 + np.expm1(-some) / some, passed / 2)
        return np.asarray(1 + 2 * variance / (self.mean_rps * total) * grown)


def poisson(rate_rps: float) -> Mmpp:
    """Return a Poisson process as one of two phases that are alike."""
    return Mmpp(rates_rps=(rate_rps, rate_rps), switching_per_s=(1.0, 1.0))


def scaled(mmpp: Mmpp, factor: float) -> Mmpp:
    """Return the process with rates `factor` times as high and phases as long.

    Below 1 that is the process of which each request is kept with that probability.
    """
    first, second = mmpp.rates_rps
    return Mmpp(rates_rps=(first * factor, second * factor), switching_per_s=mmpp.switching_per_s)


def draw_mmpp(mmpp: Mmpp, duration_s: float, rng: np.random.Generator) -> Samples:
    """Draw arrivals in [0, duration_s), ascending; the first phase is stationary.

    Phases are drawn one after the other, then the requests of each: a Poisson number, uniformly.
    """
    if mmpp.is_poisson:
        number = rng.poisson(mmpp.mean_rps * duration_s)
        return np.sort(rng.uniform(0.0, duration_s, number))
    phase, began_s = int(rng.random() < mmpp.stationary[1]), 0.0
    parts: list[Samples] = []
    while began_s < duration_s:
        left_s = duration_s - began_s
        cycles = left_s / sum(mmpp.phase_s)
        some = int(min(_MOST_PHASES, 2 * (cycles + 3 * math.sqrt(cycles)) + 8))
        phases = (phase + np.arange(some)) % 2
        lasts_s = rng.exponential(np.array(mmpp.phase_s)[phases])
        ends_s = began_s + np.cumsum(lasts_s)
        starts_s = np.concatenate([[began_s], ends_s[:-1]])
        ends_s = np.minimum(ends_s, duration_s)
        lasts_s = np.maximum(ends_s - starts_s, 0.0)
        numbers = rng.poisson(np.array(mmpp.rates_rps)[phases] * lasts_s)
        places = rng.random(int(numbers.sum())) * np.repeat(lasts_s, numbers)
        parts.append(np.sort(np.repeat(starts_s, numbers) + places))
        phase, began_s = (phase + some) % 2, float(ends_s[-1])
    times_s = np.concatenate(parts)
    return times_s[times_s < duration_s]
