"""A Gaussian process over places of many searches at once.

What is alike for all searches, for searches that are alike, and for one alone are told apart by the
covariance of a place x in search i with x' in search j (intrinsic coregionalisation: Bonilla, Chai
and Williams, NIPS 2007, "Multi-task Gaussian process prediction", with the searches' covariance by
their traits T rather than free)

    a^2 (b^2 + w(x, x')) c(i, j) + (n^2 + s^2) [same measurement]                            (1)
    w(x, x') = exp(-|x - x'| / h)
    c(i, j)  = 1 for the same search, else r + KIN (1 - r) exp(-|T_i - T_j| / q)             (2)

b: alike everywhere. n: the noise that a measurement states; s: what it does not. r: alike for all
searches. a, b, h, q, r and s are the likeliest (Rasmussen and Williams 2006, 2.30) under log-normal
priors as wide as a factor of e.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from autotune.outcome import Samples
from autotune.stats.gaussian import Gaussian

Indices = npt.NDArray[np.int64]

A, B, H, Q, R, S = 0.20, 0.7, 2.0, 3.0, 0.2, 0.06
"""Where the search for the likeliest begins, which are the priors' medians as well."""
KIN = 0.85
"""Searches whose traits are equal are still not the same, unless their graph is."""
STEP = 0.5
"""Log of the factor by which a parameter changes at once."""
SWEEPS = 4
FITTED_ON = 400
"""Most rows from which parameters are fitted."""
MOST_ROWS = 600
"""Most rows that are gone by; those of the most kindred searches come first."""


class Rows(NamedTuple):
    """What was seen in all searches; arrays of shape (rows,) unless noted."""

    places: Samples
    """Shape (rows, features)."""
    searches: Indices
    values: Samples
    noise: Samples
    """Standard errors of the values."""

    def some(self, which: npt.NDArray[np.bool_] | Indices) -> "Rows":
        """Return some of the rows."""
        return Rows(self.places[which], self.searches[which], self.values[which], self.noise[which])


class Learnt:
    """What many searches say of one more.

    Attributes:
        steps: logarithms of a, b, h, q, r / (1 - r) and s over where they began.
    """

    def __init__(self, rows: Rows, traits: Samples, own: int, steps: Samples | None = None) -> None:
        """Fit the parameters, and condition on the rows.

        Args:
            rows: what was seen.
            traits: of the searches, shape (searches, traits).
            own: the search that is to be told of; nothing need have been seen in it.
            steps: parameters that were fitted before, as `steps`; None: they are fitted.
        """
        away = np.abs(traits - traits[own]).sum(axis=1)
        away[own] = -1.0
        order = np.argsort(away[rows.searches], kind="stable")[:MOST_ROWS]
        self._rows, self._traits, self._own = rows.some(order), traits, own
        self.steps = np.zeros(6)
        if steps is None:
            self._fit(self._rows.some(_thinned(len(order), FITTED_ON)))
        else:
            self.steps = steps
        self._seen = Gaussian(self._covariance(self._rows, self.steps), self._rows.values)

    @property
    def searches(self) -> Indices:
        """Whose rows are gone by, shape (rows,)."""
        return self._rows.searches

    def at(self, places: Samples) -> tuple[Samples, Samples]:
        """Return expectation and standard deviation of values at places of that search."""
        a, b, h, q, r, _ = _parameters(self.steps)
        near = b**2 + np.exp(-cdist(self._rows.places, places, "cityblock") / h)
        kin = _kinship(np.abs(self._traits - self._traits[self._own]).sum(axis=1), q, r)
        kin[self._own] = 1.0
        cross = a**2 * near * kin[self._rows.searches][:, None]
        return self._seen.at(cross, np.full(len(places), a**2 * (b**2 + 1)))

    def _fit(self, rows: Rows) -> None:
        best = self._log_posterior(rows, self.steps)
        for _ in range(SWEEPS):
            before = best
            for number in range(len(self.steps)):
                for step in (STEP, -STEP):
                    steps = self.steps.copy()
                    steps[number] += step
                    if (found := self._log_posterior(rows, steps)) > best:
                        best, self.steps = found, steps
                        break
            if best == before:
                return

    def _log_posterior(self, rows: Rows, steps: Samples) -> float:
        evidence = Gaussian(self._covariance(rows, steps), rows.values).log_evidence
        return evidence - 0.5 * float(np.sum(steps**2))

    def _covariance(self, rows: Rows, steps: Samples) -> Samples:
        a, b, h, q, r, s = _parameters(steps)
        near = b**2 + np.exp(-cdist(rows.places, rows.places, "cityblock") / h)
        kin = _kinship(cdist(self._traits, self._traits, "cityblock"), q, r)
        np.fill_diagonal(kin, 1.0)
        found = a**2 * near * kin[np.ix_(rows.searches, rows.searches)]
        found[np.diag_indices(len(found))] += rows.noise**2 + s**2
        return np.asarray(found)


def _parameters(steps: Samples) -> tuple[float, float, float, float, float, float]:
    """a, b, h, q, r and s; r stays a share."""
    a, b, h, q, odds, s = np.array([A, B, H, Q, R / (1 - R), S]) * np.exp(steps)
    return a, b, h, q, odds / (1 + odds), s


def _kinship(away: Samples, q: float, r: float) -> Samples:
    """(2) of different searches."""
    return np.asarray(r + KIN * (1 - r) * np.exp(-away / q))


def _thinned(count: int, most: int) -> Indices:
    """Return so many of the first numbers, evenly."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))
