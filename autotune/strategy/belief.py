"""What RRL believes of a quantity: regions that adapt. Equations (1) to (5) of `rrl`."""

import math

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from autotune.outcome import Samples
from autotune.stats.gaussian import Gaussian
from autotune.strategy.protocol import PRIOR_ERROR, Prediction, SearchSettings
from autotune.strategy.shortlist import Indices

BIAS, STRETCH = 0.3, 0.3  # b and g of (3); without a prediction b is as t, and there is no g
BLANK, BLANK_WEIGHT = 0.3, 2.0  # t of (3) without a prediction: presumed, in measurements' worth
UNSTATED = 0.1  # s of (3) to begin with, as a share of t
STEP = 0.5  # (5): log of the factor by which a reach may change at once
SWEEP = 40  # (5): with more measurements, one parameter a time takes its step, for time is short
DRAWS = 1000  # (8)


class Belief:
    """What is believed of one quantity of all pairs: equations (1) to (5).

    Attributes:
        measured: the pairs that were measured.
        log_evidence: (5), but for a constant; 0 as long as nothing was measured.
    """

    def __init__(
        self,
        points: Samples,
        loads: Samples,
        predicted: Prediction | None,
        settings: SearchSettings,
    ) -> None:
        """Know where pairs lie, shapes (points, knobs) and (loads, 1), and what is predicted."""
        self._points, self._loads, self._settings = points, loads, settings
        self._adaptive, self._log_scale = settings.adaptive, settings.log_scale
        self._predicted, self._swing = np.zeros((2, len(loads) * len(points)))
        self.measured: list[int] = []
        self._values: list[float] = []
        self._noise: list[float] = []
        knobs = points.shape[1] + 1
        self._reach = np.broadcast_to(np.array(settings.reach), knobs)
        self._steps = np.zeros(knobs + 2)
        self._turn, self.log_evidence = 0, 0.0
        self._t, self._bias, self._level, self._centre = PRIOR_ERROR, BIAS, 0.0, 0.0
        self._swing += 1.0
        self.predicts = predicted is not None
        if predicted is not None:
            self.expect(predicted)

    def expect(self, predicted: Prediction) -> None:
        """Go by this prediction from now on."""
        self._predicted = predicted.value.ravel()
        self._swing = np.broadcast_to(
            np.asarray(predicted.deviation) / PRIOR_ERROR, predicted.value.shape
        ).ravel()
        if self.measured:
            self._refit()

    def anew(self, predicted: Prediction) -> "Belief":
        """Return what would be believed by now, had this been predicted from the beginning."""
        other = Belief(self._points, self._loads, predicted, self._settings)
        for pair, value, noise in zip(self.measured, self._values, self._noise, strict=True):
            other.learn(pair, value, noise)
        return other

    def learn(self, pair: int, value: float, noise: float) -> None:
        """Take in a measurement, adapt the regions, and be ready to estimate."""
        self.measured.append(pair)
        self._values.append(value)
        self._noise.append(noise)
        self._refit()

    def _refit(self) -> None:
        self._told, values = np.array(self.measured), np.array(self._values)
        self._centre = float(self._predicted[self._told].mean())
        if not self.predicts:  # how far values differ is all there is to go by
            self._level = float(values.mean())
            guess = BLANK * (1.0 if self._log_scale else abs(self._level) or 1.0)
            squares = BLANK_WEIGHT * guess**2 + float(np.sum((values - self._level) ** 2))
            self._t = self._bias = float(np.sqrt(squares / (BLANK_WEIGHT + len(values))))
        self._y = values - self._prior(self._told)  # (1)
        if self._adaptive and len(values) > 1:
            self._adapt()
        self._seen = self._condition(self._steps)
        self.log_evidence = self._log_posterior(self._steps)

    def at(self, pairs: Indices) -> tuple[Samples, Samples]:
        """Return expectation and deviation (4)."""
        swing, stretch = self._swing[pairs], STRETCH * self._relative(pairs)
        variance = swing**2 * (self._parameters(self._steps)[0] ** 2 + self._bias**2) + stretch**2
        if not self.measured:
            return self._prior(pairs), np.sqrt(variance)
        mean, deviation = self._seen.at(self._covariance(self._told, pairs), variance)
        return self._prior(pairs) + mean, deviation

    def nearest(self, pairs: Indices) -> Indices:
        """Return the measured pair in whose region (2) each pair lies; -1: in none."""
        if not self.measured:
            return np.full(len(pairs), -1)
        reach = self._parameters(self._steps)[2]
        kin = kindred(self._places(pairs) / reach, self._places(self._told) / reach, self.predicts)
        return np.where(kin.max(axis=1) > math.exp(-1), self._told[kin.argmax(axis=1)], -1)

    def chance_below_zero(self, pairs: Indices) -> Samples:
        """Return the chance that the quantity is below 0."""
        mean, deviation = self.at(pairs)
        return np.asarray(ndtr(-mean / deviation))

    def draw(self, pairs: Indices) -> Samples:
        """Return draws of the values of all pairs together, shape (DRAWS, pairs)."""
        normal = np.random.default_rng(0).standard_normal((DRAWS, len(pairs)))
        cross, joint = self._covariance(self._told, pairs), self._covariance(pairs, pairs)
        return self._prior(pairs) + self._seen.draw(cross, joint, normal)

    def _adapt(self) -> None:
        best, count = self._log_posterior(self._steps), len(self._steps)
        for _ in range(count if len(self.measured) <= SWEEP else 1):
            self._turn = (self._turn + 1) % count
            for step in (STEP, -STEP):
                steps = self._steps.copy()
                steps[self._turn] += step
                if steps[-2] < 0 and self.predicts:
                    continue
                if (found := self._log_posterior(steps)) > best:
                    best, self._steps = found, steps
                    break

    def _log_posterior(self, steps: Samples) -> float:
        return self._condition(steps).log_evidence - 0.5 * float(np.sum(steps**2))  # (5)

    def _parameters(self, steps: Samples) -> tuple[float, float, Samples]:
        """t, s and h of (2) and (3)."""
        unstated = UNSTATED * self._t * float(np.exp(steps[-1]))
        return self._t * float(np.exp(steps[-2])), unstated, self._reach * np.exp(steps[:-2])

    def _condition(self, steps: Samples) -> Gaussian:
        t, unstated, reach = self._parameters(steps)
        places = self._places(self._told) / reach
        kinship = kindred(places, places, self.predicts)
        covariance = self._combined(kinship, t, self._told, self._told)
        noise = np.array(self._noise) ** 2 + unstated**2 + 1e-9 * self._t**2
        covariance[np.diag_indices(len(noise))] += noise
        return Gaussian(covariance, self._y)

    def _covariance(self, left: Indices, right: Indices) -> Samples:
        """(3) but for noise, shape (left, right)."""
        t, _, reach = self._parameters(self._steps)
        kinship = kindred(self._places(left) / reach, self._places(right) / reach, self.predicts)
        return self._combined(kinship, t, left, right)

    def _combined(self, kinship: Samples, t: float, left: Indices, right: Indices) -> Samples:
        stretch = STRETCH**2 * np.outer(self._relative(left), self._relative(right))
        swing = np.outer(self._swing[left], self._swing[right])
        return np.asarray(swing * (t**2 * kinship + self._bias**2) + stretch)

    def _relative(self, pairs: Indices) -> Samples:
        return self._predicted[pairs] - self._centre

    def _prior(self, pairs: Indices) -> Samples:
        return self._predicted[pairs] + self._level

    def _places(self, pairs: Indices) -> Samples:
        load, point = np.divmod(pairs, len(self._points))
        return np.concatenate([self._loads[load], self._points[point]], axis=1)


def kindred(left: Samples, right: Samples, jagged: bool) -> Samples:
    """w of (2) between places measured in reaches, shape (left, right)."""
    away = cdist(left, right, "cityblock")
    if jagged:
        return np.asarray(np.exp(-away))
    kin = np.exp(-np.sqrt(3) * away)
    for one, other in zip(left.T, right.T, strict=True):
        kin *= 1 + np.sqrt(3) * np.abs(np.subtract.outer(one, other))
    return np.asarray(kin)
