"""SMAC as a rival: Bayesian optimisation with a random forest."""

import logging
import math
import tempfile
from pathlib import Path
from typing import Any

from search.rival_base import Lattice, Place, Remembering, load_library

FIRST = 10
ENDLESS = 10**9
SOMETIMES = 0.08


class SmacRival(Remembering):
    """SMAC3's facade for tuning hyperparameters, asked and told.

    Source: Lindauer et al., "SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter
    Optimization", JMLR 23 (2022). Its random forest, expected improvement and local search are used
    as they are. It is given the values, as it takes logarithms by itself; axes are integers, the
    index of a value, and axes of one value are not passed on.

    Its defaults are for thousands of cheap trials, and are changed to make it stronger at few: the
    forest is trained after each trial, not each eighth; it starts with 10 places of its Sobol
    design, not 10 an axis; 8 % of the places are random, not 20 % (both as in its facade for costly
    functions). For speed alone: one core, no room set aside for a million leaves, and 2000 random
    places beside the local search, not 10000.
    """

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Set SMAC up."""
        super().__init__(lattice, seed)
        self._runhistory = load_library("smac.runhistory")
        self._exhausted = load_library("smac.main.exceptions").ConfigurationSpaceExhaustedException
        spaces = load_library("ConfigSpace")
        self._axes = [axis for axis, length in enumerate(self.shape) if length > 1]
        self._space = spaces.ConfigurationSpace(seed=seed)
        self._space.add([spaces.Integer(str(a), (0, self.shape[a] - 1)) for a in self._axes])
        self._configuration = spaces.Configuration
        logging.getLogger("smac").setLevel(logging.ERROR)
        # SMAC cannot search a space without axes; its one place is drawn.
        self._facade = _make_facade(self._space, seed) if self._axes else None
        self._trials: dict[Place, Any] = {}

    def propose(self) -> Place | None:
        """Ask SMAC; None: it finds no place that it has not asked for."""
        if self._facade is None:
            return None
        try:
            trial = self._facade.ask()
        except (self._exhausted, StopIteration):
            return None
        place = [0] * len(self.shape)
        for axis in self._axes:
            place[axis] = int(trial.config[str(axis)])
        self._trials[tuple(place)] = trial
        return tuple(place)

    def learn(self, place: Place, score: float) -> None:
        """Tell SMAC; a place that it did not propose as well."""
        if self._facade is None:
            return
        trial = self._trials.pop(place, None)
        if trial is None:
            values = {str(axis): place[axis] for axis in self._axes}
            trial = self._runhistory.TrialInfo(self._configuration(self._space, values), seed=0)
        value = self._runhistory.TrialValue(cost=math.exp(score))
        self._facade.tell(trial, value, save=False)


def _make_facade(space: Any, seed: int) -> Any:
    smac = load_library("smac")
    make = smac.HyperparameterOptimizationFacade
    forest = load_library("smac.model.random_forest.random_forest").RandomForest(
        space,
        log_y=True,
        n_trees=10,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_leaf_nodes=None,
        n_jobs=1,
        seed=seed,
    )
    # It writes what it is made of, and nothing after that.
    with tempfile.TemporaryDirectory(prefix="smac-") as folder:
        scenario = smac.Scenario(
            space, deterministic=True, n_trials=ENDLESS, seed=seed, output_directory=Path(folder)
        )
        maximizer = make.get_acquisition_maximizer(scenario, challengers=2000)
        _order_starts(maximizer._local_search)
        return make(
            scenario,
            model=forest,
            acquisition_maximizer=maximizer,
            initial_design=make.get_initial_design(scenario, n_configs=FIRST),
            random_design=make.get_random_design(scenario, probability=SOMETIMES),
            config_selector=make.get_config_selector(scenario, retrain_after=1),
            logging_level=False,
            overwrite=True,
        )


def _order_starts(local_search: Any) -> None:
    # SMAC 2.4.1 takes them from a set of what hashes strings, so in another order in each process.
    unordered = local_search._get_init_points_from_previous_configs

    def ordered(*arguments: Any) -> list[Any]:
        return sorted(unordered(*arguments), key=lambda config: tuple(config.get_array()))

    local_search._get_init_points_from_previous_configs = ordered
