"""A strategy of another package, and packages that bring some, as installed."""

from pathlib import Path

import numpy as np
import pytest

from autotune.outcome import Samples
from autotune.strategy.protocol import Observation, Pair, Setting


class Orderly:
    """Asks for everything, what is predicted to be best first, and believes what it is told."""

    most: int | None = None
    """Pairs that it asks for; None: all."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.shape = setting.predicted.value.shape
        self.told: dict[Pair, Observation] = {}

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        failed = {pair.point for pair, seen in self.told.items() if seen.value is None}
        pairs = [
            Pair(load, point) for load in range(self.shape[0]) for point in range(self.shape[1])
        ]
        left = [pair for pair in pairs if pair not in self.told and pair.point not in failed]
        if not left or (self.most is not None and len(self.told) >= self.most):
            return None
        return min(left, key=lambda pair: float(self.setting.predicted.value[pair]))

    def tell(self, pair: Pair, observation: Observation) -> None:
        self.told[pair] = observation

    def best(self, load: int) -> list[int]:
        estimates = self.estimate(load)
        failed = {pair.point for pair, seen in self.told.items() if seen.value is None}
        found = [pair.point for pair in self.told if pair.load == load and pair.point not in failed]
        beyond = {p: (self.told[Pair(load, p)].excess or 0.0) > 0 for p in found}
        return sorted(found, key=lambda point: (beyond[point], estimates[point]))

    def estimate(self, load: int) -> Samples:
        found = np.array(self.setting.predicted.value[load])
        for pair, seen in self.told.items():
            if pair.load == load and seen.value is not None:
                found[pair.point] = seen.value
        return found


def install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, package: str, points: dict[str, str], code: str
) -> None:
    """Put a package into a folder of the path: a module of its name, and its metadata."""
    monkeypatch.syspath_prepend(str(folder))
    (folder / f"{package}.py").write_text(code)
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (about / "entry_points.txt").write_text(f"[autotune.strategies]\n{lines}")
