"""How long a batch takes: a law between the few corners that the profile measures.

    s(t, m, k, b) = s1 * speed(t, m) * growth(b, t) * crowd(k, t, m)                     (1)

    s1      one thread, alone, one request
    speed   time with t threads in mode m relative to one thread, log-log between measured t
    growth  time of b requests relative to one: straight lines between the batches measured, and on
            from the last; log-log in t between one thread and as many as there are cores
    crowd   1 + alpha * (busy cores - own) / (cores - own)   while k replicas fit the cores  (2)
            times (k t / cores) ** gamma                     once they do not                (3)

Interference (2) is memory bandwidth and caches; oversubscription (3) is plain time-sharing at
gamma = 1, and worse where threads spin for work that cannot come. Batches are measured ever larger
while that saves time per request: on a CPU not far, on an accelerator until it is full.

A GPU follows the same law as a machine of one core whose replicas are streams: gamma is 1 where a
batch fills it, and less where kernels of several streams run side by side. Of several GPUs, each
has its share of the busy replicas.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.predict.rest import SLEEPING, SPINNING, Paced, Steady, fit_rests
from autotune.spec import Record, ServingConfig, SessionShape

Mode = Literal["spin", "no_spin", "parallel_spin", "parallel_no_spin"]

BATCH_STEP = 4
"""Between the batches that are measured."""
WORTH_A_BATCH = 0.1
"""Share of a request's time that a batch must have saved for a yet larger one to be tried."""
GROWTH = (0.01, 1.5)
"""What a further request of a batch adds, in runs of one: at least, at most."""


class Corner(Record, frozen=True, eq=False):
    """One profiled point: service times of a session shape in a closed loop."""

    shape: SessionShape
    busy: int
    batch_size: int
    seconds: Samples
    cpu_s: float
    steady: bool = True
    """Whether it was measured undisturbed, as far as can be told."""

    @property
    def median_s(self) -> float:
        """Median seconds per execution."""
        return float(np.median(self.seconds))


class ServiceLaw(NamedTuple):
    """The law fitted to a profile. Times in seconds."""

    cores: int
    base_s: float
    growth: list[tuple[float, Samples, Samples]]
    """Log2 of a thread count, batch sizes, their time relative to one request's; ascending."""
    speed: dict[Mode, tuple[Samples, Samples]]
    """Mode -> (log2 of thread counts, log of relative time), to interpolate between."""
    interference: float
    """alpha of equation (2)."""
    oversubscription: dict[Mode, float]
    """gamma of equation (3)."""
    jitter: Samples
    """Sorted ratios of executions to their corner's median, where every thread had a core."""
    crowded_jitter: Samples
    """Likewise, where it had not: spinning threads that share cores are erratic."""
    rests_s: Samples
    """What an execution costs after a rest, see `fit_rests`."""

    def batch_s(self, config: ServingConfig, default_threads: int, sizes: Samples) -> Samples:
        """Return seconds of lone batches of these sizes."""
        log_threads = math.log2(config.intra_op_threads or default_threads)
        at, log_times = self.speed[mode_of(config.session_shape)]
        one_s = self.base_s * math.exp(float(np.interp(log_threads, at, log_times)))
        (low, *few), (high, *many) = self.growth[0], self.growth[-1]
        share = float(np.clip((log_threads - low) / max(1.0, high - low), 0, 1))
        return np.asarray(
            one_s * _grown(sizes, *few) ** (1 - share) * _grown(sizes, *many) ** share
        )

    def rests_as(self, config: ServingConfig) -> int:
        """Return which row of `rests_s` a configuration follows."""
        return SPINNING if spins(config.session_shape) else SLEEPING

    def calm_busy(self, config: ServingConfig, default_threads: int) -> int:
        """Return how many busy replicas have a core for every thread that spins."""
        if not spins(config.session_shape):
            return config.replicas
        intra = config.intra_op_threads or default_threads
        return max(self.cores, intra) // config.session_shape.threads(default_threads)

    def crowding(self, config: ServingConfig, default_threads: int, largest: int) -> Samples:
        """Return slow-down factors for 0 to `largest` busy replicas."""
        shape = config.session_shape
        intra, own = shape.intra_op_threads or default_threads, shape.threads(default_threads)
        demand = np.ceil(np.arange(largest + 1) / shape.devices) * own
        own_cores = min(own, self.cores)
        others = (np.minimum(demand, self.cores) - own_cores).clip(min=0)
        room = max(1, self.cores - own_cores)
        gamma = self.oversubscription[mode_of(shape)]
        # More intra-op threads than cores are slow already in the speed curve; inter-op are not.
        excess = np.maximum(demand / max(self.cores, intra), 1.0)
        return np.asarray((1 + self.interference * others / room) * excess**gamma)


def mode_of(shape: SessionShape) -> Mode:
    """Return which speed curve a session shape follows."""
    if shape.execution_mode == "parallel":
        return "parallel_spin" if shape.spinning else "parallel_no_spin"
    spins = shape.spinning and shape.intra_op_threads != 1
    return "spin" if spins else "no_spin"


def spins(shape: SessionShape) -> bool:
    """Return whether threads without work spin, rather than sleep."""
    return mode_of(shape) in ("spin", "parallel_spin")


def take_corners(
    cores: int,
    largest_batch: int,
    longest_s: float,
    measure: Callable[[SessionShape, int, int], Corner | None],
    shapes: Sequence[SessionShape] | None = None,
) -> list[Corner]:
    """Measure the corners that the law needs, cheap ones first, and return those that worked.

    Args:
        cores: that may be used.
        largest_batch: that is of interest.
        longest_s: batches that take longer are of none.
        measure: sessions, all replicas busy with batches of a size; None: that failed.
        shapes: the sessions; None: those that a CPU needs.
    """
    corners = []
    for shape in corner_shapes(cores) if shapes is None else shapes:
        size, before_s = 1, math.inf
        while (corner := measure(shape, shape.replicas, size)) is not None:
            corners.append(corner)
            saves = corner.median_s / size <= (1 - WORTH_A_BATCH) * before_s
            useful = saves and corner.median_s <= longest_s and size < largest_batch
            if not (useful and _tells_growth(shape, cores)):
                break
            before_s, size = corner.median_s / size, min(BATCH_STEP * size, largest_batch)
    return corners


def fit_law(corners: Sequence[Corner], cores: int, paced: Sequence[Paced] = ()) -> ServiceLaw:
    """Fit the law to what `take_corners` measured; what was not measured is neutral.

    Args:
        corners: back to back.
        cores: that may be used.
        paced: corners with pauses, of sessions among these.

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
    calm = [corner for corner in corners if not is_crowded(corner.shape, cores)]
    crowded = [corner for corner in corners if is_crowded(corner.shape, cores)]
    return ServiceLaw(
        cores=cores,
        base_s=base_s,
        growth=_growth(corners, cores),
        speed=speed,
        interference=interference,
        oversubscription={
            "spin": gamma,
            "no_spin": 1.0,
            "parallel_spin": gamma,
            "parallel_no_spin": 1.0,
        },
        jitter=_jitter(calm),
        crowded_jitter=_jitter(crowded or calm),
        rests_s=fit_rests([(one, _steady(one.shape, corners, alone)) for one in paced]),
    )


def paced_shapes(cores: int) -> list[SessionShape]:
    """Return the sessions that are worth a corner with pauses: of threads that sleep or spin."""
    return [_shape(1, cores, spinning=cores > 1), _shape(cores, 1, spinning=False)]


def is_crowded(shape: SessionShape, cores: int) -> bool:
    """Whether sessions have more threads than there are cores."""
    return shape.replicas * shape.threads_per_replica > cores


def gpu_corner_shapes() -> list[SessionShape]:
    """Return the sessions that tell how a GPU serves: a stream alone, and two."""
    return [_shape(1, 1, spinning=False), _shape(2, 1, spinning=False)]


def several_corner_shapes(cores: int) -> list[SessionShape]:
    """Return the sessions that tell how replicas share a CPU: of one thread each, and too many."""
    return [_shape(2, cores, spinning=True), _shape(cores, 1, spinning=False)]


def corner_shapes(cores: int) -> list[SessionShape]:
    """Return the sessions that tell how a CPU serves."""
    shapes = [_shape(1, 1, spinning=False)]
    if cores == 1:
        return shapes
    for threads in [2 ** (cores.bit_length() // 2), cores] if cores >= 8 else [cores]:
        shapes += [_shape(1, threads, spinning=True), _shape(1, threads, spinning=False)]
    return [*shapes, _shape(1, 1, spinning=False, inter=2), *several_corner_shapes(cores)]


def _tells_growth(shape: SessionShape, cores: int) -> bool:
    """Whether batches of these sessions are measured: one thread's, and all cores'."""
    return shape in (_shape(1, 1, spinning=False), _shape(1, cores, spinning=cores > 1))


def _steady(
    shape: SessionShape, corners: Sequence[Corner], alone: dict[tuple[Mode, int], float]
) -> Steady:
    """Medians of the same sessions back to back: one replica, and all of them."""
    all_busy_s = next(
        corner.median_s for corner in corners if corner.shape == shape and corner.batch_size == 1
    )
    alone_s = alone.get((mode_of(shape), shape.intra_op_threads), all_busy_s)
    return Steady(alone_s, all_busy_s)


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


def _growth(corners: Sequence[Corner], cores: int) -> list[tuple[float, Samples, Samples]]:
    found = []
    for threads in sorted({1, cores}):
        own = {
            corner.batch_size: corner.median_s
            for corner in corners
            if corner.shape.intra_op_threads == threads and _tells_growth(corner.shape, cores)
        }
        if len(own) > 1:
            sizes, seconds = (np.array(values) for values in zip(*sorted(own.items()), strict=True))
            steps = np.diff(sizes)
            slopes = np.clip(np.diff(seconds / seconds[0]) / steps, *GROWTH)
            times = np.concatenate([[1.0], 1 + np.cumsum(slopes * steps)])
            found.append((math.log2(threads), sizes.astype(float), times))
    return found or [(0.0, np.array([1.0, 2.0]), np.array([1.0, 2.0]))]


def _jitter(corners: Sequence[Corner]) -> Samples:
    return np.sort(np.concatenate([corner.seconds / corner.median_s for corner in corners]))


def _grown(sizes: Samples, known: Samples, times: Samples) -> Samples:
    slope = (times[-1] - times[-2]) / (known[-1] - known[-2])
    beyond = np.maximum(sizes - known[-1], 0)
    return np.asarray(np.interp(sizes, known, times) + slope * beyond)


def _crowd_terms(
    corners: Sequence[Corner], alone: dict[tuple[Mode, int], float], base_s: float, cores: int
) -> tuple[float, float]:
    interference, gamma = 0.0, 1.0
    for corner in corners:
        if corner.busy == cores and corner.shape.intra_op_threads == 1 and corner.busy > 1:
            interference = max(0.0, corner.median_s / base_s - 1)
    for corner in corners:
        if corner.busy == 2 and corner.shape.intra_op_threads == cores:
            own_s = alone.get((mode_of(corner.shape), cores))
            if own_s is not None:
                least = 0.5 if cores > 1 else 0.0  # streams of a GPU may not disturb each other
                gamma = max(least, math.log2(corner.median_s / own_s))
    return interference, gamma
