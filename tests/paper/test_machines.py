import functools
import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from scipy.stats import spearmanr

from autotune.outcome import Samples
from autotune.paper import cpu_machine, gpu_machine
from autotune.paper.cpu_machine import CpuMachine, ModelOnCpu
from autotune.paper.fleet import true_fleet
from autotune.paper.gpu_machine import GpuMachine, ModelOnGpu
from autotune.paper.grid import Configs, cpu_axes, fit_grid, gpu_axes, knobs_of, make_grid
from autotune.paper.machines import Paper, cpu_paper, gpu_paper
from autotune.space.axes import Axes
from autotune.space.lattice import coordinates, make_lattice
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

PLAIN = ModelOnCpu(
    work_s=0.010,
    serial_share=0.10,
    weight_bytes=0.0,
    item_bytes=0.0,
    regions=0.0,
    sync_s=0.0,
    branches=1,
    branch_share=0.0,
    fixed_share=0.0,
    saturation=8,
    load_s=0.1,
)
NVIDIA_MS = {
    # Floor and request in ms, and NVIDIA's average latencies at batches of 1, 2, 4 ... 256.
    "V100 FP32": (10.354, 0.8666, [10.37, 10.24, 10.46, 11.5, 16.07, 29.37, 55.4, 109.26, 214.48]),
    "V100 mixed": (13.326, 0.3340, [12.78, 13.01, 13.41, 13.65, 14.0, 15.84, 23.18, 43.55, 84.14]),
    "T4 FP32": (10.721, 2.4598, [10.7, 11.26, 12.73, 22.41, 39.77, 77.62, 152.73, 309.26, 635.98]),
    "T4 mixed": (12.690, 0.8782, [12.96, 13.18, 12.99, 12.82, 15.8, 29.54, 57.41, 114.24, 225.95]),
}


@functools.cache
def cpu(seed: int) -> Paper:
    return cpu_paper(64, 1000, seed)


@functools.cache
def gpu(seed: int) -> Paper:
    return gpu_paper(1000, seed)


def seconds(
    config: ServingConfig,
    model: ModelOnCpu = PLAIN,
    machine: CpuMachine | None = None,
    busy: int = 1,
) -> float:
    machine = machine or CpuMachine()
    knobs = knobs_of([config], default_threads=machine.cores)
    return float(machine.service_s(model, knobs, np.array([float(busy)]), np.ones(1))[0])


def threads(count: int, replicas: int = 1, spinning: bool = True) -> ServingConfig:
    return ServingConfig(replicas=replicas, intra_op_threads=count, spinning=spinning)


def changed(**traits: float) -> ModelOnCpu:
    return msgspec.structs.replace(PLAIN, **traits)


# A server.


def test_threads_gain_what_amdahl_allows() -> None:
    clock = 1 + (cpu_machine.TURBO - 1) * 32 / 64
    expected = PLAIN.work_s * (0.10 + 0.90 / 32) * clock
    assert seconds(threads(32)) == pytest.approx(expected)
    assert seconds(threads(1)) / seconds(threads(64)) < 1 / PLAIN.serial_share


def test_meeting_makes_too_many_threads_slower_than_fewer() -> None:
    chatty = changed(regions=200.0, sync_s=100e-9)
    assert seconds(threads(64), chatty) > seconds(threads(16), chatty) < seconds(threads(2), chatty)


def test_waking_costs_where_there_is_room_and_spinning_where_there_is_none() -> None:
    chatty = changed(regions=100.0, sync_s=50e-9)
    for count in (2, 8, 32):
        assert seconds(threads(count), chatty) < seconds(threads(count, spinning=False), chatty)
    full = {
        spins: seconds(threads(8, replicas=16, spinning=spins), chatty, busy=16)
        for spins in (True, False)
    }
    assert full[True] > 1.2 * full[False]


def test_idle_replicas_that_spin_get_in_the_way() -> None:
    alone = seconds(threads(32, replicas=1))
    assert seconds(threads(32, replicas=2)) == pytest.approx(alone)
    assert seconds(threads(32, replicas=8)) > 1.1 * alone
    assert seconds(threads(32, replicas=8, spinning=False)) == pytest.approx(alone)


def test_five_spinning_threads_on_four_cores_are_as_slow_as_was_published() -> None:
    four = CpuMachine(cores=4, nodes=1)
    crowded = seconds(threads(5), PLAIN, four) / seconds(threads(4), PLAIN, four)
    ideal = (0.10 + 0.90 / 5) / (0.10 + 0.90 / 4)
    assert crowded / ideal == pytest.approx(1.5, abs=0.03)


def test_threads_across_nodes_cost() -> None:
    moving = changed(weight_bytes=2e9)
    one_node = CpuMachine(cores=64, nodes=1)
    assert seconds(threads(32), moving) == pytest.approx(2 / 120, rel=0.01)
    across = seconds(threads(64), moving) / seconds(threads(64), moving, one_node)
    assert across == pytest.approx(cpu_machine.STRADDLE, rel=0.05)
    # Each node has room for two replicas of twelve threads; a fifth lies across both.
    few, many = (seconds(threads(12, replicas=5, spinning=False), moving, busy=k) for k in (4, 5))
    assert many > few * 5 / 4 * 1.1


def test_a_node_shares_its_bandwidth() -> None:
    moving = changed(weight_bytes=800e6)
    alone = seconds(threads(1, replicas=64), moving)
    full = seconds(threads(1, replicas=64), moving, busy=64)
    assert 64 * 800e6 / full == pytest.approx(240e9, rel=0.05)
    assert alone < 0.4 * full


def test_two_threads_on_a_core_yield_a_quarter_more_than_one() -> None:
    both = {smt: CpuMachine(smt=smt) for smt in (True, False)}
    full = {
        smt: seconds(threads(1, replicas=128), machine=machine, busy=128)
        for smt, machine in both.items()
    }
    assert full[False] / full[True] == pytest.approx(cpu_machine.SMT_GAIN)
    half = [seconds(threads(1, replicas=64), machine=one, busy=64) for one in both.values()]
    assert half[0] == pytest.approx(half[1])


def test_inter_op_threads_gain_up_to_the_branches() -> None:
    forked = changed(branches=3, branch_share=0.6)

    def at(inter: int) -> float:
        config = ServingConfig(
            intra_op_threads=2, inter_op_threads=inter, execution_mode="parallel"
        )
        return seconds(config, forked)

    assert at(3) < at(2) < seconds(threads(2), forked)
    assert at(8) == pytest.approx(at(3))
    assert at(3) > seconds(threads(2), forked) * (1 - 0.6)


def test_batches_economise_until_they_are_saturated() -> None:
    model = changed(fixed_share=0.4)
    per_request = model.growth(np.arange(1.0, 33)) / np.arange(1.0, 33)
    assert np.all(np.diff(per_request[:8]) < 0)
    assert per_request[8:] == pytest.approx(per_request[7])


@pytest.mark.parametrize("smt", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_company_never_makes_a_replica_faster(seed: int, smt: bool) -> None:
    machine, model = CpuMachine(smt=smt), cpu_machine.draw_model(seed)
    grid = make_grid(cpu_axes(machine.usable, 50.0, 1.0), 64)
    knobs = grid.knobs.at(np.arange(len(grid.sessions))[:, None])
    busy = np.minimum(np.arange(1.0, 257), knobs.replicas)
    for batch in (1.0, 8.0, 32.0):
        taken = machine.service_s(model, knobs, busy, np.array([[batch]]))
        assert np.all(np.diff(taken, axis=1) >= -1e-12)


def test_jitter_is_what_was_published_and_heavier_on_a_fuller_machine() -> None:
    few, many = (cpu_machine.jitter(fullness, 200_000, 1) for fullness in (13 / 32, 1.0))
    assert few.std() / few.mean() == pytest.approx(0.07, abs=0.01)
    for quantile in (0.95, 0.99, 0.999):
        assert np.quantile(many, quantile) > np.quantile(few, quantile)
    alone = gpu_machine.jitter(0.0, 200_000, 1) / gpu_machine.jitter(0.0, 200_000, 1).mean()
    assert np.quantile(alone, [0.95, 0.99]) == pytest.approx([1.04, 1.13], abs=0.02)


# An accelerator.


def on_gpu(model: ModelOnGpu, busy: Samples, batch: Samples) -> Samples:
    knobs = knobs_of([RUNTIME_DEFAULT], default_threads=1)
    return GpuMachine().service_s(model, knobs, busy, batch)


@pytest.mark.parametrize("card", NVIDIA_MS)
def test_batches_take_what_nvidia_measured(card: str) -> None:
    floor_ms, item_ms, measured_ms = NVIDIA_MS[card]
    model = msgspec.structs.replace(
        gpu_machine.draw_model(0), floor_s=floor_ms / 1e3, item_s=item_ms / 1e3, launches=0.0
    )
    taken_s = on_gpu(model, np.ones(1), np.exp2(np.arange(9.0)))
    assert 1e3 * taken_s == pytest.approx(measured_ms, rel=0.085)


@pytest.mark.parametrize("seed", range(5))
def test_throughput_saturates_in_batches_and_in_streams(seed: int) -> None:
    model = gpu_machine.draw_model(seed)
    batch, streams = np.exp2(np.arange(9.0)), np.arange(1.0, 17)
    by_batch = batch / on_gpu(model, np.ones(1), batch)
    assert np.all(np.diff(by_batch) > 0)
    assert by_batch[-1] / by_batch[-2] < 1.2 < by_batch[1] / by_batch[0]
    by_streams = streams / on_gpu(model, streams, np.ones(1))
    assert by_streams.max() < 1.1 * model.overlap * by_streams[0]
    together = streams * 256 / on_gpu(model, streams, np.full(1, 256.0))
    assert together.max() < 1.05 * together[0]
    assert np.all(np.diff(on_gpu(model, streams, np.ones(1))) > 0)


def test_what_does_not_fit_the_device_fails_and_nobody_foresees_it() -> None:
    paper = gpu(2)
    failed = np.isnan(paper.true_s[0])
    assert 0 < failed.sum() < len(paper.configs) / 2
    assert not failed[0]
    assert np.array_equal(np.isnan(paper.over_slo), np.isnan(paper.true_s))
    assert np.all(np.isnan(paper.true_s) == failed)
    assert np.all(np.isfinite(paper.predicted_s))
    largest = [paper.configs[int(i)] for i in np.flatnonzero(failed)]
    assert all(config.replicas * config.max_batch_size > 200 for config in largest)


# The space.


@pytest.mark.parametrize(
    ("axes", "default_threads"),
    [(cpu_axes(64, 40.0, 0.7), 64), (cpu_axes(4, 9.0, 1.5), 2), (gpu_axes(16, 256, 20.0, 1.0), 1)],
)
def test_the_points_are_those_of_autotunes_own_lattice(axes: Axes, default_threads: int) -> None:
    grid, lattice = make_grid(axes, default_threads), make_lattice(axes, default_threads, 0, None)
    assert list(Configs(grid)) == list(lattice.configs)
    assert grid.coordinates() == pytest.approx(lattice.coordinates)


def test_configurations_are_made_when_asked_for() -> None:
    paper = cpu(0)
    assert len(paper.configs) == paper.true_s.shape[1] == len(paper.coordinates)
    assert paper.configs[0] == RUNTIME_DEFAULT
    assert paper.configs[-1] == paper.configs[len(paper.configs) - 1]
    for point in (1, 17, len(paper.configs) - 2):
        own = coordinates(paper.configs[point], default_threads=64)
        assert paper.coordinates[point] == pytest.approx(own)


@pytest.mark.parametrize("points", [1_000, 10_000, 100_000])
def test_a_space_has_about_as_many_points_as_wanted(points: int) -> None:
    server = fit_grid(functools.partial(cpu_axes, 64, 80.0), 64, points)
    device = fit_grid(functools.partial(gpu_axes, 16, 256, 30.0), 1, points)
    assert len(server.session) == pytest.approx(points, rel=0.15)
    assert len(device.session) == pytest.approx(points, rel=0.15)


def test_a_small_server_is_a_space_too() -> None:
    paper = cpu_paper(2, 300, 0)
    assert np.all(np.isfinite(paper.true_s))
    assert paper.loads_rps[-1] == pytest.approx(2 / cpu_machine.draw_model(0).work_s, rel=0.5)


def test_a_row_of_service_times_is_exact_where_it_is_anchored() -> None:
    machine, model = CpuMachine(), cpu_machine.draw_model(3)
    grid = make_grid(cpu_axes(64, 20.0, 0.5), 64)
    fleet = true_fleet(grid, functools.partial(machine.service_s, model))
    knobs = grid.knobs.at(grid.session)
    largest, half = grid.max_batch.astype(np.float64), np.ceil(grid.max_batch / 2)
    for busy in (np.ones(len(largest)), knobs.replicas):
        true_s = machine.service_s(model, knobs, busy, largest)
        # Sizes that are no powers of two lie between those that are.
        assert fleet.batch_s(largest, busy) == pytest.approx(true_s, rel=1e-3)
        between = fleet.batch_s(half, busy) / machine.service_s(model, knobs, busy, half)
        assert np.quantile(np.abs(np.log(between)), 0.95) < 0.15


# The race's ground.


@pytest.mark.slow
def test_a_seed_gives_the_same_paper_and_another_one_another() -> None:
    for once, again, other in (
        (cpu(1), cpu_paper(64, 1000, 1), cpu(2)),
        (gpu(1), gpu_paper(1000, 1), gpu(2)),
    ):
        assert np.array_equal(once.true_s, again.true_s, equal_nan=True)
        assert np.array_equal(once.predicted_s, again.predicted_s)
        assert once.loads_rps == again.loads_rps != other.loads_rps


@pytest.mark.parametrize("paper", [cpu, gpu])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_changes_with_the_load_and_meets_the_slo(
    paper: Callable[[int], Paper], seed: int
) -> None:
    space = paper(seed)
    best = np.nanargmin(space.true_s, axis=1)
    assert len({space.configs[int(point)] for point in best}) > 1
    assert np.all(space.over_slo[range(3), best] <= 0.05)
    assert np.all(space.true_s[range(3), best] <= space.slo.latency_ms / 1e3)
    for load in range(3):
        within = space.true_s[load] <= space.slo.latency_ms / 1e3
        known = ~np.isnan(space.true_s[load])
        assert np.array_equal(within[known], space.over_slo[load][known] <= 0.05)
    # Nearly idle, most things work; near the edge, hardly anything does.
    works = np.nanmean(np.where(np.isnan(space.over_slo), np.nan, space.over_slo <= 0.05), axis=1)
    assert works[0] > 0.7
    assert works[2] < 0.15


@pytest.mark.parametrize("seed", range(3))
def test_predictions_are_good_but_not_perfect(seed: int) -> None:
    for space, least in ((cpu(seed), 0.8), (gpu(seed), 0.2)):
        for load in range(3):
            known = ~np.isnan(space.true_s[load])
            agreement = spearmanr(space.true_s[load][known], space.predicted_s[load][known])
            assert least < agreement.statistic < 0.995
        assert 5 < space.profile_s < 120


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_screening_keeps_the_best(seed: int) -> None:
    screened = cpu_paper(64, 1000, seed, exact=200)
    assert cpu(seed).loads_rps == screened.loads_rps
    assert _regret(cpu(seed), screened) == 0.0
    assert not np.array_equal(cpu(seed).true_s, screened.true_s)
    # On an accelerator many configurations are as good as the best, within what chance does.
    assert _regret(gpu(seed), gpu_paper(1000, seed, exact=200)) < 0.01


def _regret(full: Paper, screened: Paper) -> float:
    """By how much the best of the screened table is worse than the best, at most."""
    worst = 0.0
    for true_s, found_s in zip(full.true_s, screened.true_s, strict=True):
        worst = max(worst, true_s[np.nanargmin(found_s)] / np.nanmin(true_s) - 1)
    return math.floor(1e6 * worst) / 1e6
