"""The searches that RRL is raced against, by name."""

from collections.abc import Callable

from search.kernel_tuner_rival import KernelTunerRival
from search.optuna_rivals import make_gp, make_tpe
from search.plain_rivals import Exhaustive, HillClimb, RandomSearch
from search.rival_base import Lattice, Rival
from search.smac_rival import SmacRival

RIVALS: dict[str, Callable[[Lattice, int], Rival]] = {
    "exhaustive": Exhaustive,
    "random": RandomSearch,
    "hill-climb": HillClimb,
    "optuna-tpe": make_tpe,
    "optuna-gp": make_gp,
    "smac": SmacRival,
    "kernel-tuner": KernelTunerRival,
}
"""Name -> a search of one load's lattice, from a seed."""
