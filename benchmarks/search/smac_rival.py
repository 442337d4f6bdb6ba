"""SMAC as a rival: Bayesian optimisation with a random forest."""

import logging
import math
import tempfile
from typing import Any

from search.rival_base import Lattice, Place, Remembering, load_library, shape_of

FIRST_RANDOM = 10
SOMETIMES_RANDOM = 0.08


class SmacRival(Remembering):
    """SMAC3's facade for tuning hyperparameters, asked and told.

    Source: Lindauer et al., "SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter
    Optimization", JMLR 23 (2022); PyPI's `smac`.
    """

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Set SMAC up; its files go to a folder that is removed with the rival."""
        super().__init__(shape_of(lattice), seed)
        smac, space = load_library("smac"), load_library("ConfigSpace")
        self._smac = smac
        self._space = space.ConfigurationSpace(seed=seed)
        self._axes = [axis for axis, length in enumerate(self.shape) if length > 1]
        self._space.add(*(space.Integer(str(a), (0, self.shape[a] - 1)) for a in self._axes))
        self._configuration = space.Configuration
        self._folder = tempfile.TemporaryDirectory(prefix="smac-")
        self._facade = self._make(smac, seed)
        self._trials: dict[Place, Any] = {}

    def _make(self, smac: Any, seed: int) -> Any:
        scenario = smac.Scenario(
            self._space,
            deterministic=True,
            n_trials=10 * self.size + 100,
            seed=seed,
            output_directory=self._folder.name,
        )
        facade = smac.HyperparameterOptimizationFacade
        return facade(
            scenario,
            lambda config, seed=0: 0.0,
            model=self._make_model(scenario),
            random_design=facade.get_random_design(scenario, probability=SOMETIMES_RANDOM),
            acquisition_maximizer=facade.get_acquisition_maximizer(scenario, challengers=2000),
            initial_design=facade.get_initial_design(scenario, n_configs=FIRST_RANDOM),
            config_selector=facade.get_config_selector(scenario, retrain_after=1),
            logging_level=logging.ERROR,
            overwrite=True,
        )

    def _make_model(self, scenario: Any) -> Any:
        # As the facade's, but on one core: its pools of threads cost more than they compute.
        forest = load_library("smac.model.random_forest.random_forest").RandomForest
        return forest(
            scenario.configspace,
            log_y=True,
            n_trees=10,
            ratio_features=1.0,
            min_samples_split=2,
            min_samples_leaf=1,
            seed=scenario.seed,
            max_leaf_nodes=None,
            n_jobs=1,
        )

    def propose(self) -> Place | None:
        """Ask the facade."""
        trial = self._facade.ask()
        place = [0] * len(self.shape)
        for axis in self._axes:
            place[axis] = int(trial.config[str(axis)])
        self._trials[tuple(place)] = trial
        return tuple(place)

    def learn(self, place: Place, score: float) -> None:
        """Tell the facade; a place that it did not propose is made a trial."""
        trial = self._trials.pop(place, None)
        if trial is None:
            values = {str(axis): place[axis] for axis in self._axes}
            config = self._configuration(self._space, values=values)
            trial = self._smac.runhistory.TrialInfo(config, seed=0)
        value = self._smac.runhistory.TrialValue(cost=math.exp(score))
        self._facade.tell(trial, value, save=False)
