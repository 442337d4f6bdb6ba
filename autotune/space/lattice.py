"""All configurations, as records for people and as coordinates for the search."""

import math
from itertools import product
from typing import NamedTuple

import msgspec
import numpy as np

from autotune.outcome import Samples
from autotune.space.axes import OVERSUBSCRIPTION, Axes
from autotune.space.feasible import infeasible_because
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

AXIS_NAMES = ("replicas", "intra_op", "inter_op", "spinning", "max_batch", "batch_timeout")
SESSION_AXES = 4
"""The first of them: those that need other sessions."""


class Lattice(NamedTuple):
    """The space. Point 0 is always the runtime's default."""

    configs: tuple[ServingConfig, ...]
    coordinates: Samples
    """Shape (points, axes of `AXIS_NAMES`); a step of 1 is a doubling, or a switch thrown."""
    excluded: tuple[tuple[ServingConfig, str], ...]
    """Points left out, one per session shape, each with the reason."""


def make_lattice(
    axes: Axes, default_threads: int, footprint_bytes: int, memory_bytes: int | None
) -> Lattice:
    """Span the lattice, dropping doubles (a lone thread cannot spin, a batch of one not wait).

    Args:
        axes: the values of each knob.
        default_threads: what the runtime chooses by default; the explicit twin is left out.
        footprint_bytes: resident memory that one replica adds.
        memory_bytes: what may be taken; None where unknown.
    """
    twin = ServingConfig(intra_op_threads=default_threads, spinning=default_threads > 1)
    configs, excluded = [RUNTIME_DEFAULT], []
    for shape_config in session_configs(axes):
        reason = infeasible_because(shape_config.session_shape, footprint_bytes, memory_bytes)
        if reason is not None:
            excluded.append((shape_config, reason))
            continue
        variants = _batch_variants(shape_config, axes)
        configs.extend(config for config in variants if config != twin)
    return Lattice(
        configs=tuple(configs),
        coordinates=np.array([coordinates(config, default_threads) for config in configs]),
        excluded=tuple(excluded),
    )


def coordinates(config: ServingConfig, default_threads: int) -> list[float]:
    """Place a configuration in space; the runtime's own choice stands where its threads do."""
    threads = config.intra_op_threads or default_threads
    parallel = config.execution_mode == "parallel"
    return [
        math.log2(config.replicas),
        math.log2(threads),
        math.log2(config.inter_op_threads) if parallel else 0.0,
        float(config.spinning and (threads > 1 or parallel)),
        math.log2(config.max_batch_size),
        math.log2(1 + config.batch_timeout_ms),
    ]


def session_configs(axes: Axes) -> list[ServingConfig]:
    """Return every way to open sessions, without batching."""
    limit = OVERSUBSCRIPTION * axes.cores
    found = []
    for replicas, threads in product(axes.replicas, axes.intra_op_threads):
        if replicas * threads > limit:
            continue
        for spinning in (True, False) if threads > 1 else (False,):
            found.append(
                ServingConfig(replicas=replicas, intra_op_threads=threads, spinning=spinning)
            )
        for inter, spinning in product(axes.inter_op_threads, (True, False)):
            if replicas * threads * inter <= limit:
                found.append(
                    ServingConfig(
                        replicas=replicas,
                        intra_op_threads=threads,
                        inter_op_threads=inter,
                        execution_mode="parallel",
                        spinning=spinning,
                    )
                )
    return found


def _batch_variants(config: ServingConfig, axes: Axes) -> list[ServingConfig]:
    variants = [config]
    for size, timeout_ms in product(axes.max_batch_sizes, axes.batch_timeouts_ms):
        if size > 1:
            variants.append(
                msgspec.structs.replace(config, max_batch_size=size, batch_timeout_ms=timeout_ms)
            )
    return variants
