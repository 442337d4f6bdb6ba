"""Optuna's samplers as rivals.

Source: Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019.
"""

import warnings
from typing import Any, ClassVar

from search.rival_base import Lattice, Place, Remembering, load_library


class OptunaRival(Remembering):
    """A study of Optuna, asked and told.

    An axis is an integer, the index of a value: ascending values are mostly spaced like powers of
    two, and an index needs no choice by axis. Axes of one value are not passed on.
    """

    def __init__(self, lattice: Lattice, seed: int, sampler: Any) -> None:
        """Open a study in memory."""
        super().__init__(lattice, seed)
        self._optuna = load_library("optuna")
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self._study = self._optuna.create_study(sampler=sampler)
        self._axes = {
            str(axis): self._optuna.distributions.IntDistribution(0, length - 1)
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

    def repeat(self, place: Place, score: float | None) -> None:
        """Tell the score again; where there is none, close the trial."""
        super().repeat(place, score)
        self.drop(place)

    def drop(self, place: Place) -> None:
        """Close the trial of a place, if there is one, as failed."""
        trial = self._trials.pop(place, None)
        if trial is not None:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)


class OptunaTpe(OptunaRival):
    """Optuna's default, the tree-structured Parzen estimator, multivariate, groups off.

    Multivariate and univariate were equally good in a quick test, and the former ten times as
    fast. It compares ranks, so the logarithm changes nothing. Failures are passed as failed trials,
    which it ignores: where most places fail it then needs half as many asks as with a penalty.
    """

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Make the sampler."""
        samplers = load_library("optuna").samplers
        super().__init__(lattice, seed, samplers.TPESampler(seed=seed, multivariate=True))

    def fail(self, place: Place) -> None:
        """Let it be ignored."""
        self._scores[place] = None
        self.drop(place)


class OptunaGp(OptunaRival):
    """Optuna's Gaussian process with log expected improvement, on the logarithm of the values.

    As a place is not measured twice, the objective is declared deterministic; 5 random places
    before the first model instead of 10. Both were better in a quick test. It comes back to a known
    place only where it expects no gain anywhere; asking again costs more than it brings.
    """

    patience: ClassVar[int] = 2

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Make the sampler."""
        samplers = load_library("optuna").samplers
        load_library("torch")
        with warnings.catch_warnings():
            # That the option is experimental is known.
            warnings.simplefilter("ignore", load_library("optuna").exceptions.ExperimentalWarning)
            sampler = samplers.GPSampler(
                seed=seed, deterministic_objective=True, n_startup_trials=5
            )
        super().__init__(lattice, seed, sampler)

    def repeat(self, place: Place, score: float | None) -> None:
        """Close the trial: the same point twice would only make the model's matrices worse."""
        self.drop(place)
