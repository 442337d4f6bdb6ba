"""A trace as loads in short windows, and in the steps between decisions."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.planning.arriving import Arriving

MOST_WINDOWS = 2**18
MOST_STEPS = 50_000
SLOS_PER_WINDOW = 10
"""A window is so many times the SLO's latency, and a queue forgets within a few."""


class Windows(NamedTuple):
    """Requests by window: within one, arrivals are of a constant rate, and clustered."""

    window_s: float
    step_windows: int
    """Windows of a step; there are whole steps only, the last one may be emptier."""
    counts: npt.NDArray[np.int64]
    """Shape (windows,)."""
    dispersion: float
    """Of what arrives within a window, around its own mean; 1: Poisson."""

    @property
    def step_s(self) -> float:
        """Seconds between decisions."""
        return self.window_s * self.step_windows

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.counts) // self.step_windows

    @property
    def requests(self) -> int:
        """In all."""
        return int(self.counts.sum())

    @property
    def loads_rps(self) -> Samples:
        """Shape (steps, windows of a step)."""
        return np.asarray(self.counts.reshape(self.steps, -1) / self.window_s)

    @property
    def step_loads_rps(self) -> Samples:
        """Shape (steps,)."""
        return np.asarray(self.counts.reshape(self.steps, -1).sum(axis=1) / self.step_s)

    @property
    def peak_rps(self) -> float:
        """Of the busiest window."""
        return float(self.counts.max() / self.window_s)


def windows_of(arriving: Arriving, slo_s: float, step_s: float) -> Windows:
    """Return the windows of a trace.

    A window is the shortest whole number of bins that is ten times the SLO's latency (a queue that
    keeps the SLO has forgotten what came before), at most a step, and long enough that there are
    no more than 2**18. What clusters within it counts as dispersion: the variance of its bins
    around their mean over that mean, pooled by requests, or what the trace says of a single bin if
    that is more.

    Args:
        arriving: the trace.
        slo_s: latency of the SLO.
        step_s: between decisions; longer where there would be more than 50,000 steps.
    """
    total = len(arriving.counts)
    step = max(1, math.ceil(step_s / arriving.bin_s - 1e-9), math.ceil(total / MOST_STEPS))
    shortest = math.ceil(SLOS_PER_WINDOW * slo_s / arriving.bin_s - 1e-9)
    width = min(step, max(1, shortest, math.ceil(total / MOST_WINDOWS)))
    step_windows = math.ceil(step / width)
    whole = width * step_windows
    padded = np.zeros(math.ceil(total / whole) * whole, dtype=np.int64)
    padded[:total] = arriving.counts
    bins = padded.reshape(-1, width)
    return Windows(
        window_s=arriving.bin_s * width,
        step_windows=step_windows,
        counts=bins.sum(axis=1),
        dispersion=max(1.0, arriving.dispersion, _dispersion(bins[: total // width])),
    )


def _dispersion(bins: npt.NDArray[np.int64]) -> float:
    """Return the variance of the bins of a window over their mean, pooled; 1 where none is known.

    Args:
        bins: requests, shape (windows, bins of a window).
    """
    width = bins.shape[1]
    if width < 2 or not bins.any():
        return 1.0
    means = bins.mean(axis=1)
    squares = float(np.sum((bins - means[:, None]) ** 2))
    return float(squares / ((width - 1) * float(means.sum())))
