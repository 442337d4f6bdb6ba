"""Optuna's samplers as rivals."""

import warnings
from typing import Any

from search.rival_base import Lattice, Place, Remembering, load_library, shape_of


class OptunaRival(Remembering):
    """A study of Optuna, asked and told; axes are integers, the index of a value.

    Ascending values are mostly spaced like powers of two, so the index is the better scale, and it
    needs no choice by axis. Axes of one value are not passed on.
    """

    def __init__(self, lattice: Lattice, seed: int, sampler: Any) -> None:
        """Open a study in memory."""
        super().__init__(shape_of(lattice), seed)
        optuna = load_library("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._study = optuna.create_study(sampler=sampler)
        self._axes = {
            str(axis): optuna.distributions.IntDistribution(0, length - 1)
            for axis, length in enumerate(self.shape)
            if length > 1
        }
        self._trials: dict[Place, Any] = {}

    def propose(self) -> Place:
        """Ask the study."""
        trial = self._study.ask(self._axes)
        place = tuple(trial.params.get(str(axis), 0) for axis in range(len(self.shape)))
        self._trials[place] = trial
        return place

    def learn(self, place: Place, score: float) -> None:
        """Tell the study; a place that it did not propose is added."""
        trial = self._trials.pop(place, None)
        if trial is not None:
            self._study.tell(trial, score)
            return
        params = {name: place[int(name)] for name in self._axes}
        self._study.add_trial(
            self._optuna.trial.create_trial(params=params, distributions=self._axes, value=score)
        )


def make_tpe(lattice: Lattice, seed: int, **options: Any) -> OptunaRival:
    """Optuna's default, the tree-structured Parzen estimator."""
    optuna = load_library("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(seed=seed, **({"multivariate": True} | options))
    return OptunaRival(lattice, seed, sampler)


def make_gp(lattice: Lattice, seed: int, **options: Any) -> OptunaRival:
    """Optuna's Gaussian process with log expected improvement."""
    optuna = load_library("optuna")
    load_library("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.GPSampler(seed=seed, **options)
    return OptunaRival(lattice, seed, sampler)
