"""The search strategies that ours is raced against, each on one load's lattice; and ours so.

All are deterministic given the seed, and none asks for a place twice. Those of a library import it
when they are made, and say what to install where it is missing.
"""

from collections.abc import Callable

from search.kernel_tuner_rival import KernelTunerRival
from search.optuna_rivals import OptunaGp, OptunaTpe
from search.plain_rivals import Exhaustive, HillClimb, RandomSearch
from search.public_search import PublicSearch
from search.rival_base import Lattice, Place, Rival
from search.sb3_rival import Sb3Rival
from search.smac_rival import SmacRival

__all__ = ["OUR_PUBLIC", "RIVALS", "Lattice", "Place", "Rival"]

OUR_PUBLIC = "lattice-search"
"""Races as rivals do, and is none."""
RIVALS: dict[str, Callable[[Lattice, int], Rival]] = {
    "random": RandomSearch,
    "exhaustive": Exhaustive,
    "hill-climb": HillClimb,
    "optuna-tpe": OptunaTpe,
    "optuna-gp": OptunaGp,
    "smac": SmacRival,
    "kernel-tuner": KernelTunerRival,
    "sb3-dqn": Sb3Rival,
    OUR_PUBLIC: PublicSearch,
}
"""Makes each rival from a lattice and a seed."""
