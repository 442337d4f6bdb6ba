"""What in a tuned file contradicts something else in it, each field being what it may be."""

from typing import TYPE_CHECKING

from autotune.lesson import Lesson
from autotune.records import LatticeMap
from autotune.spec import MOST, ServingConfig

LEAST_MS, MOST_MS = 1e-9, 1e12
"""Of an execution: wide enough for any machine, narrow enough for ratios to be numbers."""

if TYPE_CHECKING:
    from autotune.config_file import TunedFile


def at_odds(tuned: "TunedFile") -> str | None:
    """Return what in a file contradicts something else in it; None: nothing does."""
    loads_rps = [entry.load_rps for entry in tuned.policy]
    if sorted(set(loads_rps)) != loads_rps:
        return f"the loads of the policy are not ascending: {loads_rps}"
    if any(one.name not in tuned.model.request_shapes for one in tuned.model.inputs):
        return "an input of the model has no shape in `model.request_shapes`"
    if any(size < 0 for shape in tuned.model.request_shapes.values() for size in shape):
        return "a size in `model.request_shapes` is negative"
    if any(len(one.shares) != len(one.latency_ms) for one in tuned.finalists):
        return "a finalist has not as many shares as latencies"
    if (one := tuned.reference) is not None:
        times_ms = [one.execution_cpu_ms, *one.windows_cpu_ms, *one.yardstick_cpu_ms]
        if not all(LEAST_MS < time_ms < MOST_MS for time_ms in times_ms):
            return "a time in `reference` is none that an execution can take"
    for curve in tuned.curves:
        if not len(curve.loads_rps) == len(curve.p50_ms) == len(curve.objective_ms):
            return "a curve has not as many latencies as loads"
    if tuned.lesson is not None and (problem := _lesson_at_odds(tuned.lesson)):
        return problem
    return None if tuned.lattice is None else _lattice_at_odds(tuned.lattice, len(loads_rps))


def _lesson_at_odds(lesson: Lesson) -> str | None:
    for one in lesson.times:
        shape = one.shape
        counts = (shape.replicas, shape.inter_op_threads, shape.devices)
        if not all(1 <= count <= MOST for count in counts):
            return "sessions in `lesson.times` are none that there can be"
        if not 0 <= shape.intra_op_threads <= MOST or one.executions < 1:
            return "an execution in `lesson.times` is none that there can be"
    times_s = [lesson.base_s, *(s for one in lesson.times for s in (one.seconds, one.law_s))]
    times_s += [ms / 1e3 for one in lesson.latencies for ms in (one.predicted_ms, one.measured_ms)]
    if not all(LEAST_MS < 1e3 * time_s < MOST_MS for time_s in times_s):
        return "a time in `lesson` is none that there can be"
    return None


def _lattice_at_odds(lattice: LatticeMap, loads: int) -> str | None:
    points = len(lattice.replicas)
    knobs = [getattr(lattice, name) for name in ServingConfig.__struct_fields__]
    rows = [*lattice.predicted_ms, *lattice.region_of]
    if any(len(one) != points for one in [*knobs, *rows]):
        return "the lists of the lattice are not of one length"
    if not len(lattice.predicted_ms) == len(lattice.region_of) == loads:
        return "the lattice has not one list a load of the policy"
    if any(not -1 <= place < points for row in lattice.region_of for place in row):
        return "a region of the lattice is none of its points"
    return None
