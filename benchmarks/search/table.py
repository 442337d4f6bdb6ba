"""A lattice that `search.record` measured: what is true of it, and what each run said."""

import csv
import math
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from autotune.outcome import Samples
from autotune.space.lattice import make_lattice
from autotune.stats.service import REST_S, ServiceState
from search.record import Recorded, read_config

OVERHEAD_S = 0.15
"""Of a measurement on paper, as of one live."""
OVERLOADED = 10.0
"""Latency of a run given up as overloaded, in SLOs."""
NORMAL_MAD, MEDIAN_ERROR, ONE_SIDED = 1.4826, 1.2533, 1.645
"""Standard deviations by a median deviation; standard errors of a median by those of a mean; in
which lie 95 % to one side. All of a normal distribution."""


class Run(NamedTuple):
    """One recorded run."""

    value_s: float
    lost: bool
    seconds: float
    states: list[ServiceState]


class Table:
    """A recorded lattice.

    What is true of a point is the median of its runs, each round's own pace taken out; where it was
    among the best, of its runs in their rounds alone, which had no say in that.
    """

    def __init__(self, path: Path, percentile: int = 95) -> None:
        """Read a table and what is written beside it."""
        self.made = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Recorded)
        self.name, self._percentile = path.stem, percentile
        self.lattice = make_lattice(self.made.axes, self.made.info.default_threads, 0, None)
        self._number = {config: point for point, config in enumerate(self.lattice.configs)}
        self.runs: dict[tuple[int, int], dict[int, Run]] = defaultdict(dict)
        """By round."""
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                self._take(row)
        self._fill_overloaded()

    @cached_property
    def true_s(self) -> Samples:
        """Shape (loads, points)."""
        found = np.full((len(self.made.loads_rps), len(self.lattice.configs)), np.nan)
        for (load, point), runs in self.runs.items():
            of_best = {number: run for number, run in runs.items() if number >= self.made.rounds}
            logs = [
                np.log(run.value_s) - self._paces[load, number]
                for number, run in (of_best or runs).items()
            ]
            found[load, point] = float(np.exp(np.median(logs)))
        return found

    @cached_property
    def regret(self) -> Samples:
        """How much slower a point is than the best at its load, shape (loads, points).

        At least, at 95 %, for those that were measured often: some of them differ by less than
        their runs can tell. How far single runs stray, round by round, is taken to be alike for all
        of a load, and told by their median deviation: a few strayed tenfold.
        """
        found = over_best(self.true_s)
        for load, row in enumerate(self.true_s):
            best = self._of_best(load, int(np.nanargmin(row)))
            beside = {}
            for point in range(len(row)):
                own = self._of_best(load, point)
                logs = [own[number] - best[number] for number in own.keys() & best.keys()]
                if len(logs) > 1:
                    beside[point] = np.array(logs)
            apart = [abs(ratios - np.median(ratios)) for ratios in beside.values()]
            stray = NORMAL_MAD * float(np.median(np.concatenate(apart))) if apart else 0.0
            for point, ratios in beside.items():
                error = MEDIAN_ERROR * stray / math.sqrt(len(ratios))
                least = float(np.median(ratios)) - ONE_SIDED * error
                found[load, point] = max(0.0, math.expm1(least))
        return found

    def _of_best(self, load: int, point: int) -> dict[int, float]:
        """Log latency by round, of those rounds in which only the best were measured."""
        return {
            number: float(np.log(run.value_s))
            for number, run in self.runs[load, point].items()
            if number >= self.made.rounds
        }

    @cached_property
    def _paces(self) -> dict[tuple[int, int], float]:
        """By how much (log) a load's runs of one round were slower than those of its like."""
        found: dict[tuple[int, int], list[float]] = defaultdict(list)
        for (load, _), runs in self.runs.items():
            for of_best in (False, True):
                logs = {
                    number: float(np.log(run.value_s))
                    for number, run in runs.items()
                    if (number >= self.made.rounds) == of_best
                }
                for number, log in logs.items():
                    found[load, number].append(log - float(np.mean(list(logs.values()))))
        return {place: float(np.median(paces)) for place, paces in found.items()}

    def _take(self, row: dict[str, str]) -> None:
        place = (
            self.made.loads_rps.index(float(row["load_rps"])),
            self._number[read_config(row)],
        )
        value_ms = row[f"p{self._percentile}_ms"]
        lost = row["outcome"] != "served" or not value_ms
        slo_s = self.made.slo.latency_ms / 1e3
        value_s = OVERLOADED * slo_s if lost else float(value_ms) / 1e3
        longest_s = 1.1 * self.made.seconds[place[0]] + OVERHEAD_S
        seconds = min(float(row["seconds"]), longest_s)
        replicas = self.lattice.configs[place[1]].replicas
        states = _states(row["service"], replicas / self.made.loads_rps[place[0]])
        self.runs[place][int(row["round"])] = Run(value_s, lost, seconds, states)

    def _fill_overloaded(self) -> None:
        """A load above one at which the queue diverged was not tried: it diverges there as well."""
        for point in range(len(self.lattice.configs)):
            for load in range(1, len(self.made.loads_rps)):
                below = self.runs.get((load - 1, point), {})
                if (load, point) not in self.runs and any(run.lost for run in below.values()):
                    self.runs[load, point] = {n: run for n, run in below.items() if run.lost}


def over_best(true_s: Samples) -> Samples:
    """Return how much slower each point is than the best at its load, as a share."""
    return np.asarray(true_s / np.nanmin(true_s, axis=1, keepdims=True) - 1)


def _states(text: str, between_s: float) -> list[ServiceState]:
    """Read what was executed; where it was not recorded how rested, that follows from the load.

    Args:
        text: of the column `service`.
        between_s: requests to the same replica, at this load.
    """
    found = []
    for part in filter(None, text.split(";")):
        size, busy, median_ms, executions, *known = part.split(",")
        median_s = float(median_ms) / 1e3
        # Pauses that are exponentially distributed, if there is any time for them.
        rest_s = max(0.0, int(size) * between_s - median_s)
        share = float(known[0]) if known else rest_s / (rest_s + REST_S)
        found.append(ServiceState(int(size), int(busy), median_s, int(executions), share))
    return found
