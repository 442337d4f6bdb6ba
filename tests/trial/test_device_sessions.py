"""Replicas on a device, here one on paper, are served and accounted for as any other."""

import os

import numpy as np
import pytest

from autotune.engine.fake_device import FakeDevice, Laws
from autotune.engine.overlap import on_device
from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.models.replicas import NONE
from autotune.models.sample_inputs import RequestMix
from autotune.request_log import share_log
from autotune.spec import ServingConfig, TrialSpec
from autotune.trial.sessions import Sessions
from autotune.trial.wire import OpenLoop, Served

COUNT = 20
LAWS = Laws(lambda rows: 0.001 * rows, bytes_per_s=8000.0)
"""A copy of one request, or of its answer, takes as long as computing it: a millisecond."""


def same(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"]}


def served(overlap: bool, devices: int) -> Served:
    config = ServingConfig(provider="cuda" if devices else "cpu", overlap=overlap)
    return run(config, devices)[0]


def run(config: ServingConfig, devices: int) -> tuple[Served, Sessions]:
    descriptor = os.memfd_create("log")
    sessions = Sessions(descriptor)
    sessions.mix = RequestMix([{"x": np.zeros((1, 1))}], kinds=[0], weights=[1.0])
    infers: list[Infer] = []
    for _ in range(devices):
        device = FakeDevice(LAWS)
        infers.append(on_device(device, device.model(same), config.overlap))
    sessions.replicas = NONE._replace(infers=infers or [same])
    share_log(descriptor, COUNT)
    trial = TrialSpec(config=config, arrivals_s=[0.0] * COUNT, grace_s=1.0)
    try:
        return sessions.open_loop(OpenLoop(trial=trial)), sessions
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("overlap", [True, False])
def test_the_copies_of_all_replicas_are_added_up_without_those_of_warming_up(overlap: bool) -> None:
    transfer = served(overlap, devices=2).transfer
    assert transfer is not None
    assert transfer.batches == COUNT
    # At least what the laws say, rounding apart: on a device in real time, events are late, never
    # early.
    least_s = COUNT * 0.001 * (1 - 1e-6)
    assert least_s <= transfer.in_s < transfer.in_s + transfer.out_s < 10
    assert least_s <= transfer.compute_s < 10
    assert (transfer.hidden_share > 0.2) == overlap


def test_without_a_device_there_are_no_copies() -> None:
    assert served(overlap=False, devices=0).transfer is None


@pytest.mark.parametrize(("graphs", "warm"), [(True, {1, 2, 3, 4, 5}), (False, {1, 5})])
def test_every_size_is_captured_before_graphs_are_replayed(graphs: bool, warm: set[int]) -> None:
    config = ServingConfig(provider="cuda", cuda_graphs=graphs, max_batch_size=5)
    assert run(config, devices=1)[1].warm_batches == warm
