"""What a search measured as ground: from a tuned file, or from the store."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from autotune import config_file, model_file
from autotune.config_file import TunedFile
from autotune.errors import StoreError, UsageError
from autotune.given import make_model
from autotune.gym.ground import Ground, Reading
from autotune.records import LatticeMap
from autotune.space.lattice import placed
from autotune.spec import ServingConfig
from autotune.stages.memory import readable
from autotune.store.reading import answers_in, is_store

_LEAST = 2
"""Configurations that must have been measured at a load, or there is nowhere to go."""


def replay(path: Path, model: str | None) -> Ground:
    """Return what was measured, all of one pair kept apart: a step draws one of its measurements.

    Points are the configurations that the search measured, loads those at which it measured two or
    more of them.

    Args:
        path: a tuned file, or a store, of which the latest search counts that came to its end.
        model: the model's file, as it was then; None: whichever was measured.

    Raises:
        UsageError: there is no such file, nothing to replay in it, or it is of another model.
        ModelError: there is no such model.
        ConfigFileError: it is neither a tuned file nor a store.
    """
    given = None if model is None else make_model(model, {}, None, None, seed=0)
    sha256 = None if given is None else model_file.sha256(Path(given.path))
    tuned = _stored(path, sha256) if _is_store(path) else config_file.read(path)
    if sha256 is not None and tuned.model.sha256 != sha256:
        raise UsageError(f"model={model!r} is not the model that {path} was measured with")
    readings: dict[tuple[float, ServingConfig], list[Reading]] = defaultdict(list)
    for trial in tuned.trials:
        readings[trial.load_rps, trial.config].append(_reading(trial))
    return _ground(path, tuned, readings)


def _is_store(path: Path) -> bool:
    try:
        return is_store(path)
    except StoreError as error:
        raise UsageError(
            f"machine={str(path)!r}: {error}; write here, paper:cpu:16, paper:gpu, or the "
            "path of a tuned file or a store"
        ) from None


def _stored(path: Path, sha256: str | None) -> TunedFile:
    try:
        texts = answers_in(path)
    except StoreError as error:
        raise UsageError(str(error)) from None
    for tuned in readable(texts):
        if sha256 in (None, tuned.model.sha256):
            return tuned
    raise UsageError(f"{path}: holds no search of this model that came to its end")


def _reading(trial: config_file.Trial) -> Reading:
    if trial.measured is None:
        failed = trial.failure
        return Reading(None, "" if failed is None else f"{failed.kind}: {failed.detail}")
    value_ms = trial.measured.objective.value_ms
    return Reading(np.inf if value_ms is None else value_ms / 1e3)


def _ground(
    path: Path, tuned: TunedFile, readings: dict[tuple[float, ServingConfig], list[Reading]]
) -> Ground:
    at_load: dict[float, list[ServingConfig]] = defaultdict(list)
    for load_rps, config in readings:
        at_load[load_rps].append(config)
    loads_rps = tuple(sorted(rps for rps, known in at_load.items() if len(known) >= _LEAST))
    if not loads_rps:
        raise UsageError(f"{path}: at no load were two configurations measured: nothing to replay")
    found = dict.fromkeys(config for rps in loads_rps for config in at_load[rps])
    # The first is where an agent starts, if it was measured at the load.
    configs = sorted(found, key=lambda config: (not config.is_default, config.complexity))
    coordinates, axes = placed(configs, _default_threads(tuned))
    measured = np.array([[(rps, config) in readings for config in configs] for rps in loads_rps])

    def measure(rng: np.random.Generator, load: int, point: int) -> Reading:
        known = readings[loads_rps[load], configs[point]]
        return known[int(rng.integers(len(known)))]

    return Ground(
        name=f"{tuned.model.name}, replayed from {path}",
        configs=configs,
        coordinates=coordinates,
        axes=axes,
        slo=tuned.slo,
        loads_rps=loads_rps,
        sustainable_rps=tuned.search.sustainable_rps,
        measure=measure,
        measured=measured,
    )


def _default_threads(tuned: TunedFile) -> int:
    """Return what the runtime chose: of a lattice, the thread count whose explicit twin is out."""
    return _without_twin(tuned.lattice) or tuned.machine.cores_usable


def _without_twin(lattice: LatticeMap | None) -> int | None:
    if lattice is None or lattice.points_left_out:
        return None
    points = zip(
        lattice.replicas,
        lattice.intra_op_threads,
        lattice.execution_mode,
        lattice.spinning,
        lattice.max_batch_size,
        strict=True,
    )
    alone = {
        threads
        for replicas, threads, mode, spinning, batch in points
        if (replicas, mode, batch) == (1, "sequential", 1) and spinning == (threads > 1)
    }
    missing = set(lattice.intra_op_threads) - alone - {0}
    return missing.pop() if len(missing) == 1 else None
