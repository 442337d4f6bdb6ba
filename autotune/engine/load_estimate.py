"""How many requests/s come, estimated from counts; numbers in, numbers out."""

import math
from typing import NamedTuple

DISPERSION_S = 30.0
"""Window over which clumps are looked for."""
PRIOR_ARRIVALS = 10.0
"""Expected arrivals that count as seen at the start, without clumps."""
MOST_DISPERSION = 4.0
"""Requests that are taken to come together, at most: so many looks like a load that rises."""


class LoadEstimate(NamedTuple):
    """Arrivals per second, each weighted by exp(-age / `window_s`).

    The weighted count is divided by the weighted time (as by Kingma and Ba, 2015, for moments), so
    the estimate is unbiased from the first count on, and only wider. Its standard error is that of
    a Poisson count times the root of the index of dispersion for counts (Cox and Lewis, 1966):
    where requests come in clumps of k, that is k.
    """

    window_s: float
    arrivals: float = 0.0
    """Weighted; so are the others."""
    span_s: float = 0.0
    squares: float = 0.0
    """Of the weights, with which the arrivals of a second count in `arrivals`."""
    deviation: float = PRIOR_ARRIVALS
    """Squared, of counts from what was due by the estimate before them."""
    expected: float = PRIOR_ARRIVALS
    """What the deviation would be if no requests came together."""

    @property
    def rps(self) -> float:
        """Requests/s; 0 before the first count."""
        return self.arrivals / self.span_s if self.span_s else 0.0

    @property
    def dispersion(self) -> float:
        """Variance of counts over their mean, from 1 to `MOST_DISPERSION`."""
        return min(max(1.0, self.deviation / self.expected), MOST_DISPERSION)

    @property
    def error_rps(self) -> float:
        """The standard error of `rps`."""
        if not self.span_s:
            return 0.0
        return math.sqrt(self.dispersion * self.rps * self.squares) / self.span_s

    def after(self, count: int, elapsed_s: float) -> "LoadEstimate":
        """Return the estimate once `count` more requests have come in `elapsed_s` seconds."""
        if elapsed_s <= 0:
            return self._replace(arrivals=self.arrivals + count)
        kept = math.exp(-elapsed_s / self.window_s)
        # The weights of moments within the time that is over now, integrated.
        gained_s = self.window_s * (1 - kept)
        expected, deviation = self.expected, self.deviation
        if self.span_s:
            remembered = math.exp(-elapsed_s / DISPERSION_S)
            due = self.rps * elapsed_s
            # By chance, the count is off, and so is what it is held against.
            chance = due + self.rps * self.squares * (elapsed_s / self.span_s) ** 2
            expected = remembered * expected + chance
            deviation = remembered * deviation + (count - due) ** 2
        return LoadEstimate(
            self.window_s,
            kept * self.arrivals + count * gained_s / elapsed_s,
            kept * self.span_s + gained_s,
            kept**2 * self.squares + gained_s**2 / elapsed_s,
            deviation,
            expected,
        )
