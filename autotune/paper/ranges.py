"""Where traits of models on paper are drawn from."""

import math
from typing import NamedTuple

import numpy as np


class Range(NamedTuple):
    """Where a trait is drawn from, evenly on a linear or a logarithmic scale."""

    low: float
    high: float

    def even(self, rng: np.random.Generator) -> float:
        """Draw evenly."""
        return float(rng.uniform(self.low, self.high))

    def log_even(self, rng: np.random.Generator) -> float:
        """Draw evenly on a logarithmic scale."""
        return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
