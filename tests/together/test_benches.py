"""All models measured at the same time, in real processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autotune.outcome import Measured
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, TrialSpec
from autotune.together.benches import Benches, Cpus, Seated
from autotune.together.chain import joined

ONE = ServingConfig(intra_op_threads=1, spinning=False)


@pytest.fixture
def benches(mlp: Path, tmp_path: Path) -> Iterator[Benches]:
    other = tmp_path / "other.onnx"
    other.write_bytes(mlp.read_bytes())
    with Benches([ModelSpec(path=str(mlp)), ModelSpec(path=str(other))], [False, True]) as both:
        yield both


def seat(count: int, cpus: Cpus = None, follows: int = 0, feeds: bool = False) -> Seated:
    arrivals_s = np.linspace(0.0, 0.4, count).tolist()
    return Seated(TrialSpec(config=ONE, arrivals_s=arrivals_s, grace_s=1.0), cpus, follows, feeds)


def measured(benches: Benches, *seats: Seated) -> list[Measured]:
    found = benches.measure(seats)
    assert not isinstance(found, Failed), found.detail
    return found


def test_two_models_serve_their_own_schedules_at_the_same_time(benches: Benches) -> None:
    first, second = measured(benches, seat(40), seat(20))
    assert (first.served, second.served) == (40, 20)
    assert not first.lost + second.lost


def test_what_the_other_model_used_is_no_disturbance(benches: Benches) -> None:
    for run in measured(benches, seat(40), seat(40)):
        share = run.disturbance.other_cpu_share
        assert share is None or share < os.cpu_count()  # type: ignore[operator]


def test_a_model_may_be_confined_to_a_core(benches: Benches) -> None:
    cpu = min(os.sched_getaffinity(0))
    first, second = measured(benches, seat(10, frozenset([cpu])), seat(10))
    assert first.disturbance.cpus == 1
    assert second.disturbance.cpus == len(os.sched_getaffinity(0))


def test_a_step_follows_the_one_before_from_end_to_end(benches: Benches) -> None:
    first, second = measured(benches, seat(20, feeds=True), seat(60, follows=3))
    assert second.served == 60
    whole, (_, later) = joined([first, second], [1, 3])
    assert whole.served == 20
    assert (later.started_s >= later.scheduled_s).all()
    assert (whole.latency_s >= first.latency_s).all()


def test_what_a_run_left_in_a_link_is_not_the_next_ones(benches: Benches) -> None:
    measured(benches, seat(20, feeds=True), seat(5, follows=3))
    first, second = measured(benches, seat(4, feeds=True), seat(4, follows=1))
    assert (second.started_s >= np.sort(first.finished_s)).all()


def test_a_configuration_that_cannot_be_opened_fails_for_all(benches: Benches) -> None:
    bad = ServingConfig(provider="dnnl", intra_op_threads=1, spinning=False)
    trial = TrialSpec(config=bad, arrivals_s=[0.0], grace_s=0.1)
    assert isinstance(benches.measure([Seated(trial, None), seat(2)]), Failed)
