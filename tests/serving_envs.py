"""Environments to act in: on paper, and replays of a search that nobody made."""

from pathlib import Path
from typing import Any

import gymnasium
import msgspec
from searched import System, searched

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.gym import ID, ServingEnv
from autotune.records import Failed
from autotune.spec import ServingConfig

POINTS = 60


def made(**options: Any) -> ServingEnv:
    """An environment as `gymnasium.make` makes it, without its wrappers."""
    given: Any = {"machine": "paper:cpu:4", "model": 0, "points": POINTS} | options
    env = gymnasium.make(ID, **given).unwrapped
    assert isinstance(env, ServingEnv)
    return env


def of(tuned: TunedFile, *more: tuple[float, ServingConfig, float | None]) -> TunedFile:
    """A file with further trials: a load, a configuration, its latency in ms; None: it crashed."""
    (trial,) = (one for one in tuned.trials[:1])
    measured = trial.measured
    assert measured is not None
    found = []
    for load_rps, config, value_ms in more:
        summary = msgspec.structs.replace(
            measured, objective=msgspec.structs.replace(measured.objective, value_ms=value_ms)
        )
        failed = Failed(kind="crash", detail="gone") if value_ms is None else None
        found.append(
            msgspec.structs.replace(
                trial,
                load_rps=load_rps,
                config=config,
                measured=summary if failed is None else None,
                failure=failed,
            )
        )
    return msgspec.structs.replace(tuned, trials=[*tuned.trials, *found])


BATCHED = ServingConfig(replicas=2, intra_op_threads=1, spinning=False, max_batch_size=4)
PLAIN = ServingConfig(intra_op_threads=1, spinning=False)


def tuned() -> TunedFile:
    """At 30/s the default, the chosen one, a batching and a plain one; at 80/s the first two."""
    known = of(searched(System(), 1), (30.0, BATCHED, 12.5), (30.0, PLAIN, None))
    return msgspec.structs.replace(known, lattice=None)


def recorded(folder: Path) -> Path:
    """Return a file of the same."""
    path = folder / "model.autotune.json"
    config_file.write(path, tuned())
    return path
