"""How long a batch takes: a law between the few corners that the profile measures.

    s(t, m, k, b) = s1 * speed(t, m) * crowd(k, t, m) * (fixed + (1 - fixed) * b)        (1)

    s1      one thread, alone, one request
    speed   time with t threads in mode m relative to one thread, log-log between measured t
    crowd   1 + alpha * (busy cores - own) / (cores - own)   while k replicas fit the cores  (2)
            times (k t / cores) ** gamma                     once they do not                (3)
    fixed   the share of a run that does not grow with the batch

Interference (2) is memory bandwidth and caches; oversubscription (3) is plain time-sharing at
gamma = 1, and worse where threads spin for work that cannot come.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.spec import Record, ServingConfig, SessionShape

Mode = Literal["spin", "no_spin", "parallel_spin", "parallel_no_spin"]


class Corner(Record, frozen=True, eq=False):
    """One profiled point: service times of a session shape in a closed loop."""

    shape: SessionShape
    busy: int
    batch_size: int
    seconds: Samples
    cpu_s: float

    @property
    def median_s(self) -> float:
        """Median seconds per execution."""
        return float(np.median(self.seconds))


class ServiceLaw(NamedTuple):
    """The law fitted to a profile. Times in seconds."""

    cores: int
    base_s: float
    fixed_share: float
    speed: dict[Mode, tuple[Samples, Samples]]
    """Mode -> (log2 of thread counts, log of relative time), to interpolate between."""
    interference: float
    """alpha of equation (2)."""
    oversubscription: dict[Mode, float]
    """gamma of equation (3)."""
    jitter: Samples
    """Sorted ratios of single executions to their corner's median."""

    def batch_s(self, config: ServingConfig, default_threads: int) -> tuple[float, float]:
        """Return seconds of a lone batch as (fixed part, part per request)."""
        threads = config.intra_op_threads or default_threads
        log_threads, log_times = self.speed[mode_of(config.session_shape)]
        relative = math.exp(float(np.interp(math.log2(threads), log_threads, log_times)))
        alone_s = self.base_s * relative
        return alone_s * self.fixed_share, alone_s * (1 - self.fixed_share)

    def crowding(self, config: ServingConfig, default_threads: int, largest: int) -> Samples:
        """Return slow-down factors for 0 to `largest` busy replicas."""
        shape = config.session_shape
        intra = shape.intra_op_threads or default_threads
        own = intra * (shape.inter_op_threads if shape.execution_mode == "parallel" else 1)
        demand = np.arange(largest + 1, dtype=np.float64) * own
        own_cores = min(own, self.cores)
        others = (np.minimum(demand, self.cores) - own_cores).clip(min=0)
        room = max(1, self.cores - own_cores)
        gamma = self.oversubscription[mode_of(shape)]
        # More intra-op threads than cores are slow already in the speed curve; inter-op are not.
        excess = np.maximum(demand / max(self.cores, intra), 1.0)
        return (1 + self.interference * others / room) * excess**gamma


def mode_of(shape: SessionShape) -> Mode:
    """Return which speed curve a session shape follows."""
    if shape.execution_mode == "parallel":
        return "parallel_spin" if shape.spinning else "parallel_no_spin"
    spins = shape.spinning and shape.intra_op_threads != 1
    return "spin" if spins else "no_spin"


def profile_plan(cores: int, batchable: bool) -> list[tuple[SessionShape, int, int]]:
    """Return the corners to measure as (shape, busy replicas, batch size), cheap ones first."""
    one = _shape(1, 1, spinning=False)
    plan = [(one, 1, 1)]
    if batchable:
        plan.append((one, 1, 4))
    if cores == 1:
        return plan
    plan.append((_shape(cores, 1, spinning=False), cores, 1))
    middle = [2 ** (cores.bit_length() // 2)] if cores >= 8 else []
    for threads in [*middle, cores]:
        plan.append((_shape(1, threads, spinning=True), 1, 1))
        plan.append((_shape(1, threads, spinning=False), 1, 1))
    plan.append((_shape(2, cores, spinning=True), 2, 1))
    plan.append((_shape(1, 1, spinning=False, inter=2), 1, 1))
    return plan


def fit_law(corners: Sequence[Corner], cores: int) -> ServiceLaw:
    """Fit the law to the corners of `profile_plan`; what was not measured is neutral.

    Raises:
        ValueError: the first corner (one thread, alone) is missing.
    """
    alone = {
        (mode_of(c.shape), c.shape.intra_op_threads): c.median_s
        for c in corners
        if c.busy == 1 and c.batch_size == 1
    }
    if ("no_spin", 1) not in alone:
        raise ValueError("the profile lacks one thread alone")
    base_s = alone["no_spin", 1]
    speed: dict[Mode, tuple[Samples, Samples]] = {
        "spin": _speed_curve(alone, "spin", base_s, cores),
        "no_spin": _speed_curve(alone, "no_spin", base_s, cores),
    }
    factor = math.log(alone.get(("parallel_no_spin", 1), base_s) / base_s)
    log_threads, log_times = speed["spin"]
    speed["parallel_spin"] = (log_threads, log_times + factor)
    log_threads, log_times = speed["no_spin"]
    speed["parallel_no_spin"] = (log_threads, log_times + factor)
    interference, gamma = _crowd_terms(corners, alone, base_s, cores)
    return ServiceLaw(
        cores=cores,
        base_s=base_s,
        fixed_share=_fixed_share(corners, base_s),
        speed=speed,
        interference=interference,
        oversubscription={
            "spin": gamma,
            "no_spin": 1.0,
            "parallel_spin": gamma,
            "parallel_no_spin": 1.0,
        },
        jitter=np.sort(np.concatenate([c.seconds / c.median_s for c in corners])),
    )


def _shape(replicas: int, threads: int, spinning: bool, inter: int = 1) -> SessionShape:
    return SessionShape(
        replicas=replicas,
        intra_op_threads=threads,
        inter_op_threads=inter,
        execution_mode="parallel" if inter > 1 else "sequential",
        spinning=spinning,
    )


def _speed_curve(
    alone: dict[tuple[Mode, int], float], mode: Mode, base_s: float, cores: int
) -> tuple[Samples, Samples]:
    points = {1: 0.0}
    points |= {t: math.log(s / base_s) for (m, t), s in alone.items() if m == mode}
    threads = sorted(points)
    log_threads = [math.log2(t) for t in threads]
    log_times = [points[t] for t in threads]
    if threads[-1] < cores:  # a failed corner: no gain beyond what was seen
        log_threads.append(math.log2(cores))
        log_times.append(log_times[-1])
    return np.array(log_threads), np.array(log_times)


def _fixed_share(corners: Sequence[Corner], base_s: float) -> float:
    for corner in corners:
        if corner.batch_size > 1:
            slope = (corner.median_s / base_s - 1) / (corner.batch_size - 1)
            return float(np.clip(1 - slope, -0.5, 0.99))
    return 0.0


def _crowd_terms(
    corners: Sequence[Corner], alone: dict[tuple[Mode, int], float], base_s: float, cores: int
) -> tuple[float, float]:
    interference, gamma = 0.0, 1.0
    for corner in corners:
        if corner.busy == cores and corner.shape.intra_op_threads == 1 and corner.busy > 1:
            interference = max(0.0, corner.median_s / base_s - 1)
    for corner in corners:
        if corner.busy == 2 and corner.shape.intra_op_threads == cores and cores > 1:
            own_s = alone.get((mode_of(corner.shape), cores))
            if own_s is not None:
                gamma = max(0.5, math.log2(corner.median_s / own_s))
    return interference, gamma
