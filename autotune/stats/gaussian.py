"""A Gaussian vector of which some entries were seen: conditioning, as in any textbook.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equations 2.25,
2.26 and 2.30, by Cholesky factors as in their algorithm 2.1.
"""

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import log_ndtr, ndtr

from autotune.outcome import Samples

JITTER = 1e-6
"""Added to the diagonal, as a share of it, where a factor would fail by rounding."""


class Gaussian:
    """Entries of mean 0, seen with noise."""

    def __init__(self, covariance: Samples, seen: Samples) -> None:
        """Condition on what was seen.

        Args:
            covariance: of what was seen, noise included, shape (seen, seen).
            seen: the values, shape (seen,).
        """
        self._root = cholesky(covariance, lower=True)
        self._fit = solve_triangular(self._root, seen, lower=True)

    @property
    def log_evidence(self) -> float:
        """Logarithm of the density of what was seen, but for a constant."""
        return -0.5 * float(self._fit @ self._fit) - float(np.log(np.diag(self._root)).sum())

    def at(self, cross: Samples, variance: Samples) -> tuple[Samples, Samples]:
        """Return mean and standard deviation of other entries.

        Args:
            cross: their covariance with what was seen, shape (seen, others).
            variance: their own, before anything was seen, shape (others,).
        """
        known = solve_triangular(self._root, cross, lower=True)
        left = variance - np.einsum("ij,ij->j", known, known)
        return np.asarray(self._fit @ known), np.sqrt(left.clip(min=1e-12))

    def draw(self, cross: Samples, joint: Samples, normal: Samples) -> Samples:
        """Return draws of other entries together, shape (draws, others).

        Args:
            cross: their covariance with what was seen, shape (seen, others).
            joint: their covariance with each other, shape (others, others).
            normal: independent standard normal numbers, shape (draws, others).
        """
        known = solve_triangular(self._root, cross, lower=True)
        left = joint - known.T @ known
        left[np.diag_indices(len(left))] += 1e-12 + JITTER * np.diag(left).clip(min=0)
        return np.asarray(self._fit @ known + normal @ cholesky(left))


def mixed(
    one: tuple[Samples, Samples], other: tuple[Samples, Samples], share: float
) -> tuple[Samples, Samples]:
    """Return mean and standard deviation of what follows `other` with a chance of `share`."""
    mean = one[0] + share * (other[0] - one[0])
    within = (1 - share) * one[1] ** 2 + share * other[1] ** 2
    return mean, np.sqrt(within + share * (1 - share) * (other[0] - one[0]) ** 2)


def log_capped_gain(z: Samples, most: Samples) -> Samples:
    """Return the logarithm of E[min(max(0, z - N(0, 1)), most)], also where that underflows."""
    gain, beyond = log_expected_gain(z), log_expected_gain(z - most)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.exp(np.minimum(0.0, beyond - gain))
        return np.where(np.isneginf(beyond), gain, gain + np.log1p(-share))


def log_expected_gain(z: Samples) -> Samples:
    """Return the logarithm of E[max(0, z - N(0, 1))], also where that underflows (Mockus 1975)."""
    far = z < -5
    near, tail = np.where(far, 0.0, z), np.where(far, z, -5.0)
    gain = near * ndtr(near) + np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi)
    with np.errstate(invalid="ignore"):
        return np.where(far, log_ndtr(tail) - np.log(-tail), np.log(gain))  # tail: to first order
