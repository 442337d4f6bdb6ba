"""What in a tuned file contradicts something else in it, each field being what it may be."""

from typing import TYPE_CHECKING

from autotune.lesson import Lesson
from autotune.records import LatticeMap
from autotune.service import REST_DRAWS, ServiceModel
from autotune.spec import MOST, ServingConfig
from autotune.units import MAX_WATTS

LEAST_MS, MOST_MS = 1e-9, 1e12
"""Of an execution: wide enough for any machine, narrow enough for ratios to be numbers."""

if TYPE_CHECKING:
    from autotune.config_file import TunedFile


def at_odds(tuned: "TunedFile") -> str | None:
    """Return what in a file contradicts something else in it; None: nothing does."""
    loads_rps = [entry.load_rps for entry in tuned.policy]
    if sorted(set(loads_rps)) != loads_rps:
        return f"the loads of the policy are not ascending: {loads_rps}"
    problems = (
        _model_at_odds(tuned),
        _drawn_at_odds(tuned),
        None if tuned.lesson is None else _lesson_at_odds(tuned.lesson),
        None if tuned.service is None else _service_at_odds(tuned.service, tuned),
        None if tuned.lattice is None else _lattice_at_odds(tuned.lattice, len(loads_rps)),
        _energy_at_odds(tuned),
        _target_at_odds(tuned, loads_rps),
    )
    return next((problem for problem in problems if problem is not None), None)


def _model_at_odds(tuned: "TunedFile") -> str | None:
    if any(one.name not in tuned.model.request_shapes for one in tuned.model.inputs):
        return "an input of the model has no shape in `model.request_shapes`"
    if any(size < 0 for shape in tuned.model.request_shapes.values() for size in shape):
        return "a size in `model.request_shapes` is negative"
    if (one := tuned.reference) is not None:
        times_ms = [one.execution_cpu_ms, *one.windows_cpu_ms, *one.yardstick_cpu_ms]
        if not all(LEAST_MS < time_ms < MOST_MS for time_ms in times_ms):
            return "a time in `reference` is none that an execution can take"
    return None


def _drawn_at_odds(tuned: "TunedFile") -> str | None:
    if any(len(one.shares) != len(one.latency_ms) for one in tuned.finalists):
        return "a finalist has not as many shares as latencies"
    for curve in tuned.curves:
        if not len(curve.loads_rps) == len(curve.p50_ms) == len(curve.objective_ms):
            return "a curve has not as many latencies as loads"
    return None


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


def _service_at_odds(service: ServiceModel, tuned: "TunedFile") -> str | None:
    known = {one.config for one in service.configs}
    if any(entry.config not in known for entry in tuned.policy):
        return "a configuration of the policy is not among those of `service`"
    for one in service.configs:
        if len(one.crowding) != one.config.replicas:
            return "a configuration in `service` has not one slow-down a number of busy replicas"
        if 2 ** (len(one.batch_s) - 1) < one.config.max_batch_size:
            return "a configuration in `service` has no time for its largest batch"
        if one.rests >= len(service.rests_s):
            return "a configuration in `service` has no kind of rests"
    if any([len(draws) for draws in kind] != [REST_DRAWS] * 2 for kind in service.rests_s):
        return f"rests in `service` are not {REST_DRAWS} beside none and {REST_DRAWS} beside others"
    ascending = [
        [float(one.threads) for one in service.alone],
        service.jitter,
        service.crowded_jitter,
    ]
    if any(sorted(values) != values for values in ascending):
        return "threads, or a jitter, in `service` are not ascending"
    slowed = [ratio for one in service.configs for ratio in one.crowding]
    tables = [one.batch_s for one in service.configs] + [one.batch_s for one in service.alone]
    times_s = [time_s for table in tables for time_s in table]
    numbers = [*(1e3 * time_s for time_s in times_s), *slowed, *ascending[1], *ascending[2]]
    if not all(LEAST_MS < number < MOST_MS for number in numbers):
        return "a time or ratio in `service` is none that there can be"
    return None


def _energy_at_odds(tuned: "TunedFile") -> str | None:
    power = tuned.power
    if power is None:
        return "`trade_offs` lack the `power` that they go by" if tuned.trade_offs else None
    if max(power.idle_watts, power.busy_core_watts) > MAX_WATTS:
        return "a power in `power` is none that a machine draws"
    loads_rps = {entry.load_rps for entry in tuned.policy}
    for one in tuned.trade_offs:
        if one.load_rps not in loads_rps:
            return "a load in `trade_offs` is none of the policy"
        numbers = (one.latency_ms, one.joules_per_request, one.core_s_per_request)
        if not all(LEAST_MS <= number < MOST_MS for number in numbers):
            return "a number in `trade_offs` is none that there can be"
    return None


def _target_at_odds(tuned: "TunedFile", loads_rps: list[float]) -> str | None:
    if tuned.target is not None and [one.load_rps for one in tuned.target.loads] != loads_rps:
        return "`target` has not one load for each of the policy"
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
