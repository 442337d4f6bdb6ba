"""Made-up machine types for tests of fleets."""

from pathlib import Path

from fleet_scenes import Made, made_type

from autotune.config_file import read
from autotune.planning.machines import MachineType
from autotune.planning.prices import MachinePrice
from autotune.spec import Slo

SLO = Slo(latency_ms=50.0)
FILE = read(Path(__file__).parent / "golden" / "v9.autotune.json")
"""Stands for tuned files; scaling does not read it."""


def types_of(*made: Made, dispersion: float = 1.0) -> list[MachineType]:
    return [made_type(one, SLO, dispersion, FILE) for one in made]


def price_of(made: Made) -> MachinePrice:
    return types_of(made)[0].price
