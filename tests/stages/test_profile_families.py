"""Profiles of what executes sessions: forms, processes, GPUs, and what cannot be had."""

import numpy as np
import pytest
from flat import CORES, INFO
from made import times_of
from msgspec import structs
from profiling import AskedBench, subject

from autotune.errors import MeasureError
from autotune.outcome import Abilities, ServiceTimes
from autotune.predict.forecast import make_lanes
from autotune.predict.queue_simulation import batch_seconds
from autotune.records import Failed
from autotune.space.axes import make_axes
from autotune.space.lattice import Lattice, make_lattice
from autotune.spec import Family, ServingConfig, SessionShape
from autotune.stages.profile import as_law, in_family, profile
from autotune.stages.survey import profile_families
from autotune.trial.wire import ClosedLoop

ALONE_S, LOCKED_S, COMPILED_S = 0.010, 0.030, 0.006
TORCH = Abilities(
    inter_op=False, replicas_as=("threads", "processes"), forms=("as_given", "compiled")
)
ON_GPU = Abilities(inter_op=False, providers=("cuda",), devices=2, overlap=True)


class TorchBench(AskedBench):
    """As given, replicas in threads wait for the interpreter; compiled code does not hold it."""

    def __init__(self, fails: Family | None = None) -> None:
        super().__init__()
        self.fails = fails

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        self.asked.append((shape, request.batch_size))
        if shape.family == self.fails:
            return Failed(kind="load_error", detail="no compiler here")
        alone_s = COMPILED_S if shape.form == "compiled" else ALONE_S
        locked = shape.form == "as_given" and shape.replicas_as == "threads"
        seconds_s = LOCKED_S if locked and request.busy == CORES else alone_s
        return times_of(np.full(20, seconds_s * request.batch_size), seconds_s)


class GpuBench(AskedBench):
    """Two streams take a quarter longer than one; batches are nearly free up to 64."""

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes:
        self.asked.append((shape, request.batch_size))
        seconds_s = ALONE_S * (1 + request.batch_size / 64) * (1.25 if request.busy == 2 else 1)
        return times_of(np.full(20, seconds_s), 0.1 * seconds_s)


def lattice_of(abilities: Abilities) -> Lattice:
    return make_lattice(make_axes(CORES, True, 50, abilities), CORES, 1, None)


def profiled(bench: AskedBench, abilities: Abilities) -> tuple[Lattice, dict[Family, str]]:
    on = subject(bench, [])._replace(info=structs.replace(INFO, abilities=abilities))
    lattice = lattice_of(abilities)
    return lattice, profile_families(on, lattice, 256)[1]


def test_each_family_is_predicted_by_its_own_law() -> None:
    bench = TorchBench()
    on = subject(bench, [])._replace(info=structs.replace(INFO, abilities=TORCH))
    profiles, failed = profile_families(on, lattice_of(TORCH), 8)
    assert failed == {}
    law, *_ = [one.law for one in profiles.values()]
    others = {family: one.law for family, one in list(profiles.items())[1:]}
    row = ServingConfig(replicas=CORES, intra_op_threads=1, spinning=False)
    configs = [
        row,
        structs.replace(row, replicas_as="processes"),
        structs.replace(row, form="compiled"),
    ]
    lanes = make_lanes(law, configs, INFO, others)
    busy_s = lanes.alone_s[:, 0] * lanes.crowding[range(3), CORES]
    assert busy_s == pytest.approx([LOCKED_S, ALONE_S, COMPILED_S])


def test_replicas_in_processes_are_profiled_only_where_there_are_several() -> None:
    bench = TorchBench()
    profiled(bench, TORCH)
    processes = {shape for shape, _ in bench.asked if shape.replicas_as == "processes"}
    assert {(shape.replicas, shape.intra_op_threads) for shape in processes} == {
        (2, CORES),
        (CORES, 1),
    }
    assert not any(shape.execution_mode == "parallel" for shape, _ in bench.asked)


def test_a_form_that_cannot_be_had_is_left_out_with_the_reason_and_asked_for_once() -> None:
    lost = Family(form="compiled")
    bench = TorchBench(fails=lost)
    lattice, failed = profiled(bench, TORCH)
    assert {one.form for one in failed} == {"compiled"}
    assert all("no compiler here" in reason for reason in failed.values())
    assert {c.form for c in lattice.without(failed).configs} == {"as_given"}
    tries = [shape for shape, _ in bench.asked if shape.form == "compiled"]
    assert {shape.replicas_as for shape in tries} == {"threads"}


def test_without_the_default_there_is_nothing_to_tune() -> None:
    with pytest.raises(MeasureError, match="does not run on one thread: load_error: no compiler"):
        profiled(TorchBench(fails=Family()), TORCH)


def test_streams_of_a_gpu_follow_the_law_of_one_core_that_they_share() -> None:
    bench = GpuBench()
    on = subject(bench, [])._replace(info=structs.replace(INFO, abilities=ON_GPU))
    found = profile(on, Family(provider="cuda"), largest_batch=256)
    config = ServingConfig(provider="cuda", replicas=4, max_batch_size=64)
    spread = structs.replace(config, devices=2)
    lanes = make_lanes(found.law, [config, spread], INFO)
    assert lanes.crowding[0, [1, 2, 4]] == pytest.approx([1, 1.25, 1.25**2])
    assert lanes.crowding[1, [1, 2, 4]] == pytest.approx([1, 1, 1.25])
    assert float(batch_seconds(lanes.alone_s, np.array(0), 64)) == pytest.approx(
        2 * ALONE_S, rel=0.02
    )
    assert {shape.intra_op_threads for shape, _ in bench.asked} == {0}
    assert max(size for _, size in bench.asked) == 256


@pytest.mark.parametrize(
    "family",
    [Family(), Family(form="exported"), Family(provider="cuda", overlap=True)],
)
def test_sessions_of_a_family_and_those_of_the_law_are_two_views_of_one(family: Family) -> None:
    shape = ServingConfig(replicas=2, intra_op_threads=1, spinning=False).session_shape
    assert in_family(shape, family).family == family
    assert as_law(in_family(shape, family)) == shape
