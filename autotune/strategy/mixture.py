"""Two beliefs about one quantity: by what was predicted here, and by what was learnt elsewhere.

Which of them holds is not known; each counts by how well it foretold what was measured,

    P(taught | y) = P(y | taught) / (P(y | taught) + P(y | blank))                           (9)

each likelihood being (5) of `rrl`, so that they begin even, and a misleading past is outweighed
after the few measurements that it foretells badly (Hoeting et al. 1999, "Bayesian Model Averaging:
A Tutorial", Statistical Science 14-4, equation 2).
"""

import numpy as np
from scipy.special import expit

from autotune.outcome import Samples
from autotune.stats.gaussian import mixed
from autotune.strategy.belief import DRAWS, Belief
from autotune.strategy.protocol import Prediction, SearchSettings
from autotune.strategy.shortlist import Indices


class Mixture:
    """What is believed of one quantity by either hypothesis."""

    predicts = True

    def __init__(self, blank: Belief, taught: Belief) -> None:
        """Believe either, of which both were told the same."""
        self._blank, self._taught = blank, taught

    @property
    def measured(self) -> list[int]:
        """The pairs that were measured."""
        return self._blank.measured

    @property
    def trust(self) -> float:
        """The chance (9) that what was learnt elsewhere holds here."""
        return float(expit(self._taught.log_evidence - self._blank.log_evidence))

    def expect(self, predicted: Prediction) -> None:
        """Go by this prediction from now on."""
        self._blank.expect(predicted)
        self._taught.expect(predicted.taught or predicted)

    def learn(self, pair: int, value: float, noise: float) -> None:
        """Take in a measurement."""
        self._blank.learn(pair, value, noise)
        self._taught.learn(pair, value, noise)

    def at(self, pairs: Indices) -> tuple[Samples, Samples]:
        """Return expectation and deviation."""
        return mixed(self._blank.at(pairs), self._taught.at(pairs), self.trust)

    def nearest(self, pairs: Indices) -> Indices:
        """Return the measured pair in whose region each pair lies; -1: in none."""
        return (self._taught if self.trust > 0.5 else self._blank).nearest(pairs)

    def chance_below_zero(self, pairs: Indices) -> Samples:
        """Return the chance that the quantity is below 0."""
        blank, taught = self._blank.chance_below_zero(pairs), self._taught.chance_below_zero(pairs)
        return np.asarray(blank + self.trust * (taught - blank))

    def draw(self, pairs: Indices) -> Samples:
        """Return draws of the values of all pairs together, shape (DRAWS, pairs)."""
        taught = np.random.default_rng(2).random(DRAWS) < self.trust
        return np.where(taught[:, None], self._taught.draw(pairs), self._blank.draw(pairs))


def believe(
    points: Samples, loads: Samples, predicted: Prediction | None, settings: SearchSettings
) -> Belief | Mixture:
    """Return what is believed before anything was measured."""
    blank = Belief(points, loads, predicted, settings)
    if predicted is not None and predicted.taught is not None:
        return Mixture(blank, Belief(points, loads, predicted.taught, settings))
    return blank


def renewed(belief: Belief | Mixture, predicted: Prediction) -> Belief | Mixture:
    """Return a belief that goes by this prediction from now on.

    The first that is learnt elsewhere is held against all that was measured, as if it had been
    known from the beginning.
    """
    belief.expect(predicted)
    if predicted.taught is None or isinstance(belief, Mixture):
        return belief
    return Mixture(belief, belief.anew(predicted.taught))
