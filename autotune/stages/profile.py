"""Profile: a few closed-loop corners, then those that the answer turns out to depend on."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from msgspec import structs
from scipy.special import ndtr

from autotune.outcome import ModelInfo, Samples, ServiceTimes
from autotune.predict.predictor import Predictor
from autotune.predict.queue_simulation import batch_seconds
from autotune.predict.rest import Paced
from autotune.predict.service_law import (
    Corner,
    ServiceLaw,
    corner_shapes,
    fit_law,
    gpu_corner_shapes,
    is_crowded,
    paced_shapes,
    several_corner_shapes,
    take_corners,
)
from autotune.records import Failed
from autotune.runtime_environment import environment_of, is_torch
from autotune.space.feasible import infeasible_because
from autotune.spec import Family, ServingConfig, SessionShape, runtime_default
from autotune.stages import events
from autotune.stages.context import Context
from autotune.stages.events import Said
from autotune.stats.service import ServiceState
from autotune.trial.wire import ClosedLoop

CORNER_S = 0.2
CORNER_MIN_RUNS = 5
PACED_S, PAUSE_S = 0.5, 0.006
SLOW_S = 0.1
"""A model so slow does not notice what a rest costs."""
PACED_TIMEOUT_S = 60.0
CORNER_TRIES = 2
"""At once; what stays disturbed is tried once more when all others were."""
DISTURBED_WORTH = 1
"""Executions that a corner counts for which stayed disturbed."""
DESCHEDULED = 0.85
"""A lone thread that got less CPU than this share of its run shared a core: not its own speed."""
STEADY_SPREAD = 1.25
"""Between the quartiles of a corner's runs; more is a disturbance, or deserves a second look."""
PROFILE_SHARE = 0.2
"""Of the budget, after which nothing more is profiled: what is found must be confirmed as well."""
REFINED = 4
"""Most sessions that are profiled because the answer depends on them."""
LONGEST_REFINED_S = 0.2
"""Full batches that take longer are not."""
ON_CPU = Family()
SENSITIVE = 0.1
"""Chance of being the best at some load from which on sessions are worth a corner of their own."""


class Subject(NamedTuple):
    """What is profiled where."""

    context: Context
    info: ModelInfo
    cores: int
    memory_bytes: int | None


class Profile(NamedTuple):
    """What was measured of one family of sessions."""

    cores: int
    """Of what executes it: those of the machine, or one of a GPU."""
    corners: list[Corner]
    """Of sessions as the law has them, whatever their family."""
    paced: list[Paced]

    @property
    def law(self) -> ServiceLaw:
        """The law fitted to them."""
        return fit_law(self.corners, self.cores, self.paced)


class NotProfiledError(Exception):
    """Not even one replica of a family could be profiled; says why."""


def profile(
    on: Subject, family: Family, largest_batch: int, known: Profile | None = None
) -> Profile:
    """Measure the corners that fit the memory, with batches up to the largest of interest.

    Args:
        on: what is profiled where.
        family: of the sessions.
        largest_batch: of interest.
        known: of the same sessions in one process; replicas with a process each differ from them
            only where there are several.

    Raises:
        NotProfiledError: not even one replica alone could be profiled.
    """
    paced: list[Paced] = []

    def measure(shape: SessionShape, busy: int, batch_size: int) -> Corner | None:
        real = in_family(shape, family)
        own_bytes, process_bytes = on.info.footprint_bytes, on.info.process_bytes
        if infeasible_because(real, own_bytes, on.memory_bytes, process_bytes) is not None:
            return None
        if shape.execution_mode == "parallel" and not on.info.abilities.inter_op:
            return None
        corner = _corner(on, real, busy, batch_size)
        if isinstance(corner, Corner):
            slow = corner.median_s > SLOW_S
            if shape in paced_shapes(cores) and batch_size == 1 and not slow:
                paced.extend(_paced(on, real))
            return corner
        if (busy, shape.threads_per_replica, batch_size) == (1, 1, 1):
            raise NotProfiledError(f"{corner.kind}: {corner.detail}")
        return None

    cores = 1 if family.on_gpu else on.cores
    shapes = gpu_corner_shapes() if family.on_gpu else corner_shapes(cores)
    if known is not None:
        shapes = several_corner_shapes(cores)
    torch = is_torch(on.info.runtime)
    # A process that was started for threads that sleep is of no use to others: these first.
    shapes.sort(key=lambda one: not environment_of(torch, in_family(one, family)))
    longest_s = on.context.question.slo.latency_ms / 1e3
    corners = take_corners(cores, largest_batch, longest_s, measure, shapes)
    corners = [corner if corner.steady else _again(on, corner) for corner in corners]
    corners = [structs.replace(corner, shape=as_law(corner.shape)) for corner in corners]
    paced = [structs.replace(one, shape=as_law(one.shape)) for one in paced]
    if known is not None:
        corners = [one for one in known.corners if one.shape not in shapes] + corners
    return Profile(cores, corners, paced or (known.paced if known is not None else []))


def in_family(shape: SessionShape, family: Family) -> SessionShape:
    """Return sessions of the law as those of a family; beside a GPU, host threads are as usual."""
    changes = structs.asdict(family)
    if family.on_gpu:
        changes |= {"intra_op_threads": 0, "spinning": True}
    return structs.replace(shape, **changes)


def as_law(shape: SessionShape) -> SessionShape:
    """Return sessions of a family as the law has them."""
    threads = {"intra_op_threads": 1, "spinning": False} if shape.family.on_gpu else {}
    return structs.replace(shape, **structs.asdict(Family()), **threads)


def _paced(on: Subject, shape: SessionShape) -> list[Paced]:
    """Measure the corner with pauses of sessions that stand; empty where that fails."""
    request = ClosedLoop(
        busy=shape.replicas,
        batch_size=1,
        duration_s=PACED_S,
        min_runs=CORNER_MIN_RUNS,
        pause_s=PAUSE_S,
    )
    label = f"{_label(shape, shape.replicas, 1)}, with pauses"
    on.context.observe(events.Doing(what=f"profile: {label}"))
    sample = on.context.bench.service_times(shape, request, PACED_TIMEOUT_S)
    if isinstance(sample, Failed):
        _warn_of_failure(on, label, sample)
        return []
    median_ms = 1e3 * float(np.median(sample.seconds))
    on.context.observe(events.Profiled(label=label, median_ms=median_ms))
    return [Paced(shape=shape, seconds=sample.seconds, rest_s=sample.rest_s, others=sample.others)]


def _warn_of_failure(on: Subject, label: str, failed: Failed) -> None:
    text = f"profile: {label} failed ({failed.kind}): {failed.detail}"
    on.context.observe(Said(text=text, warning=True))


def _again(on: Subject, corner: Corner) -> Corner:
    """Measure a corner anew that was disturbed; return the better of both."""
    again = _corner(on, corner.shape, corner.busy, corner.batch_size)
    both = [corner, again] if isinstance(again, Corner) else [corner]
    best = min(both, key=lambda one: (not one.steady, one.median_s))
    if not best.steady:
        label = _label(best.shape, best.busy, best.batch_size)
        on.context.observe(Said(text=f"profile: {label} was disturbed each time and counts little"))
    return best


def corner_alone(on: Subject) -> float | None:
    """Return the median seconds of one request on one thread, measured; None: that failed."""
    family = runtime_default(on.context.question.allowed.device).family
    corner = _corner(on, in_family(corner_shapes(1)[0], family), 1, 1)
    return corner.median_s if isinstance(corner, Corner) else None


def refine(on: Subject, configs: Sequence[ServingConfig], predictor: Predictor) -> None:
    """Profile sessions that may well be the best somewhere and were not profiled, likeliest first.

    All their replicas are kept busy, with single requests and with full batches: how they share the
    machine is what the law knows least of. They stay open, for they are likely to be measured.
    """
    deadline = on.context.deadline

    def measure(shape: SessionShape, batch_size: int) -> Corner | None:
        if deadline.spent_s > PROFILE_SHARE * deadline.budget_s:
            return None
        corner = _corner(on, shape, shape.replicas, batch_size, keep=True)
        return corner if isinstance(corner, Corner) else None

    refine_with(measure, configs, predictor)


def refine_with(
    measure: Callable[[SessionShape, int], Corner | None],
    configs: Sequence[ServingConfig],
    predictor: Predictor,
) -> None:
    """Do what `refine` does, by any means of measuring; None: that failed."""
    tried: set[SessionShape] = set()
    for _ in range(REFINED):
        chances = chances_of_best(predictor)
        chances[[config.session_shape in tried for config in configs]] = 0.0
        point = int(np.argmax(chances))
        if chances[point] < SENSITIVE:
            return
        shape = configs[point].session_shape
        tried.add(shape)
        full = configs[point].max_batch_size
        full_s = float(batch_seconds(predictor.lanes.alone_s, np.array(point), full))
        for size in sorted({1, full}) if full_s <= LONGEST_REFINED_S else [1]:
            if (corner := measure(shape, size)) is not None:
                predictor.learn([(point, [_state(corner)])])


def chances_of_best(predictor: Predictor) -> Samples:
    """Return how likely each point beats the best predicted, where likeliest; 0 if profiled."""
    log_s = np.log(predictor.predicted_s)
    best = log_s.min(axis=1, keepdims=True)
    chances = ndtr((best - log_s) / predictor.doubt).max(axis=0)
    return np.where(predictor.is_known, 0.0, chances)


def as_seen(
    corners: Sequence[Corner], configs: Sequence[ServingConfig], family: Family = ON_CPU
) -> list[tuple[int, list[ServiceState]]]:
    """Return a family's corners as what a point of the lattice with its sessions was seen to do."""
    first: dict[SessionShape, int] = {}
    for point, config in enumerate(configs):
        first.setdefault(config.session_shape, point)
    shapes = [in_family(corner.shape, family) for corner in corners]
    seen = zip(shapes, corners, strict=True)
    return [(first[shape], [_state(corner)]) for shape, corner in seen if shape in first]


def _state(corner: Corner) -> ServiceState:
    executions = len(corner.seconds) if corner.steady else DISTURBED_WORTH
    return ServiceState(corner.batch_size, corner.busy, corner.median_s, executions)


def _corner(
    on: Subject, shape: SessionShape, busy: int, batch_size: int, keep: bool = False
) -> Corner | Failed:
    """Measure one corner: sessions, and how many replicas are busy with batches of which size."""
    request = ClosedLoop(
        busy=busy, batch_size=batch_size, duration_s=CORNER_S, min_runs=CORNER_MIN_RUNS
    )
    timeout_s = 30 + 100 * on.info.run_s * batch_size * busy * CORNER_MIN_RUNS
    take = partial(on.context.bench.service_times, shape, request, timeout_s, keep)
    is_steady = partial(_is_steady, shape, on.cores)
    label = _label(shape, busy, batch_size)
    on.context.observe(events.Doing(what=f"profile: {label}"))
    sample = _sample(take, is_steady)
    if isinstance(sample, Failed):
        _warn_of_failure(on, label, sample)
        return sample
    corner = Corner(
        shape=shape,
        busy=busy,
        batch_size=batch_size,
        seconds=sample.seconds,
        cpu_s=sample.cpu_s,
        steady=is_steady(sample),
    )
    on.context.observe(events.Profiled(label=label, median_ms=corner.median_s * 1e3))
    return corner


def _sample(
    take: Callable[[], ServiceTimes | Failed], is_steady: Callable[[ServiceTimes], bool]
) -> ServiceTimes | Failed:
    """Sample one corner; a sample that something disturbed is taken again, the better kept."""
    best: ServiceTimes | None = None
    for _ in range(CORNER_TRIES):
        sample = take()
        if isinstance(sample, Failed):
            return best or sample
        if is_steady(sample):
            return sample
        if best is None or np.median(sample.seconds) < np.median(best.seconds):
            best = sample
    assert best is not None
    return best


def _is_steady(shape: SessionShape, cores: int, sample: ServiceTimes) -> bool:
    """Whether nothing disturbed a sample; where threads share cores, they disturb each other."""
    if is_crowded(shape, cores) and not shape.family.on_gpu:
        return True
    low_s, high_s = np.quantile(sample.seconds, [0.25, 0.75])
    # Who waits for a GPU needs no core.
    several = shape.threads_per_replica > 1 or shape.family.on_gpu
    alone = several or sample.cpu_s >= DESCHEDULED * np.mean(sample.seconds)
    return bool(alone and high_s <= STEADY_SPREAD * low_s)


def _label(shape: SessionShape, busy: int, batch_size: int) -> str:
    config = ServingConfig(**structs.asdict(shape))
    batch = f", batches of {batch_size}" if batch_size > 1 else ""
    return f"{config.describe()}{', all busy' if busy > 1 else ''}{batch}"
