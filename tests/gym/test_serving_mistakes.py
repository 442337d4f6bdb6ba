"""Mistakes in asking for an environment: one line each."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from serving_envs import POINTS, made, recorded

from autotune import config_file
from autotune.errors import AutotuneError, ConfigFileError, ModelError, UsageError
from autotune.gym import ServingEnv
from autotune.paper.cpu_machine import draw_model
from autotune.paper.gpu_machine import draw_model as draw_gpu_model
from autotune.spec import ServingConfig
from autotune.store.database import Store


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recorded(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"machine": "paper:tpu"}, "write paper:cpu:16"),
        ({"machine": "paper:cpu:0"}, "write paper:cpu:16"),
        ({"machine": 4}, "machine=4: write here"),
        ({"machine": "/no/such.json", "model": None}, "No such file"),
        ({"model": -1}, "whole number of 0 or up"),
        ({"model": True}, "whole number of 0 or up"),
        ({"model": "model.onnx"}, "on paper it is a seed"),
        ({"model": draw_gpu_model(0)}, "does not run on paper:cpu:4"),
        ({"machine": "paper:gpu", "model": draw_model(0)}, "does not run on paper:gpu"),
        ({"points": 5}, "points=5 is not a whole number from 10"),
        ({"measurements": 1}, "measurements=1 is not"),
        ({"slo_ms": 50}, "paper:cpu:4 has its own"),
        ({"loads_rps": 50}, "choose among them at reset"),
        ({"render_mode": "human"}, "render_mode='human': write 'ansi'"),
        ({"machine": "here", "model": "m.onnx"}, "needs slo_ms and loads_rps"),
        ({"machine": "here", "slo_ms": "50ms", "loads_rps": 8}, "slo_ms='50ms' is not a number"),
        ({"machine": "here", "slo_ms": 50, "loads_rps": []}, "loads_rps is empty"),
        ({"machine": "here", "slo_ms": 50, "loads_rps": -8}, "must be above zero"),
        ({"machine": "here", "slo_ms": 50, "loads_rps": 8}, "model=0: here it is a file"),
    ],
)
def test_a_mistake_is_one_line(options: dict[str, Any], said: str) -> None:
    given: Any = {"machine": "paper:cpu:4", "model": 0, "points": POINTS} | options
    with pytest.raises(UsageError) as caught:
        ServingEnv(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mistakes_in_a_replay_and_with_a_model(recording: Path, mlp: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("{}")
    empty = tmp_path / "empty.sqlite"
    Store(empty).close()
    lone = tmp_path / "lone.autotune.json"
    first = config_file.read(recording)
    config_file.write(lone, msgspec.structs.replace(first, trials=first.trials[:1]))
    mistakes: Sequence[tuple[dict[str, Any], type[AutotuneError], str]] = [
        ({"machine": recording, "model": mlp}, UsageError, "is not the model that"),
        ({"machine": recording, "model": 0}, UsageError, "of a replay it is a file"),
        ({"machine": recording, "loads_rps": 31}, UsageError, "is none of 30, 80"),
        ({"machine": recording, "slo_ms": 31}, UsageError, "has its own"),
        ({"machine": other}, ConfigFileError, "not a tuned file"),
        ({"machine": empty}, UsageError, "holds no search"),
        ({"machine": lone}, UsageError, "nothing to replay"),
        ({"machine": recording, "model": tmp_path / "no.onnx"}, ModelError, "no such file"),
        (
            {"machine": "here", "model": tmp_path / "no.onnx", "slo_ms": 9, "loads_rps": 9},
            ModelError,
            "no such file",
        ),
    ]
    for options, kind, said in mistakes:
        with pytest.raises(kind) as caught:
            ServingEnv(**options)
        assert said in str(caught.value), options
        assert os.linesep not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"load_rps": 1.5}, "load_rps=1.5: is none of"),
        ({"config": ServingConfig(replicas=1000)}, "config=1000 x default threads"),
        ({"config": "default"}, "config='default': is none"),
        ({"point": 3}, "options: point: is none of"),
    ],
)
def test_an_episode_begins_only_where_there_is_something(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        made().reset(options=options)


def test_an_action_must_be_one() -> None:
    env = made()
    env.reset(seed=0)
    with pytest.raises(UsageError, match="action=99 is none of Discrete"):
        env.step(99)
