"""All configurations, as records for people and as coordinates for the search."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple, get_args

import msgspec
import numpy as np

from autotune.outcome import Abilities, Samples
from autotune.space.axes import GPU_REPLICAS, OVERSUBSCRIPTION, Axes, powers_of_two
from autotune.space.feasible import infeasible_because
from autotune.spec import (
    DEVICES,
    ON_GPU,
    Family,
    Form,
    Provider,
    ServingConfig,
    runtime_default,
)

AXIS_NAMES = ("replicas", "intra_op", "inter_op", "spinning", "max_batch", "batch_timeout")
SESSION_AXES = 4
"""The first of them: those that need other sessions."""
BATCH_AXES = len(AXIS_NAMES) - SESSION_AXES
FURTHER_AXES = ("replicas_as", "form", "provider", "devices", "overlap", "cuda_graphs")
_FORMS: tuple[Form, ...] = get_args(Form)
_PROVIDERS: tuple[Provider, ...] = get_args(Provider)


class Lattice(NamedTuple):
    """The space. Point 0 is always the runtime's default."""

    configs: tuple[ServingConfig, ...]
    coordinates: Samples
    """Shape (points, axes): those of `AXIS_NAMES`, with further session axes, where the space has
    any, behind the first four; a step of 1 is a doubling, or a switch thrown."""
    excluded: tuple[tuple[ServingConfig, str], ...]
    """Points left out, one per session shape, each with the reason."""
    session_axes: int = SESSION_AXES
    """The first axes: those that need other sessions."""

    def without(self, failed: Mapping[Family, str]) -> "Lattice":
        """Return the lattice without the families that cannot be had here, for whatever reason."""
        kept = [p for p, config in enumerate(self.configs) if config.family not in failed]
        out = {c.session_shape: c for c in self.configs if c.family in failed}
        excluded = tuple((config, failed[config.family]) for config in out.values())
        configs = tuple(self.configs[point] for point in kept)
        return self._replace(
            configs=configs,
            coordinates=self.coordinates[kept],
            excluded=self.excluded + excluded,
        )


def make_lattice(
    axes: Axes,
    default_threads: int,
    footprint_bytes: int,
    memory_bytes: int | None,
    process_bytes: int = 0,
) -> Lattice:
    """Span the lattice, dropping doubles (a lone thread cannot spin, a batch of one not wait).

    Args:
        axes: the values of each knob.
        default_threads: what the runtime chooses by default; the explicit twin is left out.
        footprint_bytes: resident memory that one replica adds.
        memory_bytes: what may be taken; None where unknown.
        process_bytes: that each process adds before it has loaded the model.
    """
    twin = ServingConfig(intra_op_threads=default_threads, spinning=default_threads > 1)
    default = runtime_default(axes.abilities.providers[0])
    configs, excluded = [default], []
    for shape_config in session_configs(axes):
        shape = shape_config.session_shape
        reason = infeasible_because(shape, footprint_bytes, memory_bytes, process_bytes)
        if reason is not None:
            excluded.append((shape_config, reason))
            continue
        variants = _batch_variants(shape_config, axes)
        configs.extend(config for config in variants if config not in (twin, default))
    places, names = placed(configs, default_threads)
    return Lattice(
        configs=tuple(configs),
        coordinates=places,
        excluded=tuple(excluded),
        session_axes=len(names) - BATCH_AXES,
    )


def placed(
    configs: Sequence[ServingConfig], default_threads: int
) -> tuple[Samples, tuple[str, ...]]:
    """Place configurations in space.

    Returns:
        As `Lattice.coordinates`, shape (configs, axes), and the names of the axes.
    """
    places = np.array([coordinates(config, default_threads) for config in configs])
    further = np.array([_further(config) for config in configs])
    varied = np.ptp(further, axis=0) > 0
    names = [name for name, varies in zip(FURTHER_AXES, varied, strict=True) if varies]
    return (
        np.hstack([places[:, :SESSION_AXES], further[:, varied], places[:, SESSION_AXES:]]),
        (*AXIS_NAMES[:SESSION_AXES], *names, *AXIS_NAMES[SESSION_AXES:]),
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


def _further(config: ServingConfig) -> list[float]:
    """Place a configuration by what executes it: forms and providers one step apart, in order."""
    return [
        float(config.replicas_as == "processes"),
        float(_FORMS.index(config.form)),
        float(_PROVIDERS.index(config.provider)),
        math.log2(config.devices),
        float(config.overlap),
        float(config.cuda_graphs),
    ]


def session_configs(axes: Axes) -> list[ServingConfig]:
    """Return every way to open sessions, without batching."""
    found = []
    can = axes.abilities
    for provider, form, replicas_as in product(can.providers, can.forms, can.replicas_as):
        on_gpu = provider in ON_GPU
        ways = _on_gpu(can) if on_gpu else _on_cpu(axes, can_all=provider in DEVICES)
        found += [
            msgspec.structs.replace(way, provider=provider, form=form, replicas_as=replicas_as)
            for way in ways
            if replicas_as == "threads" or way.replicas > 1
        ]
    return found


def _on_gpu(can: Abilities) -> list[ServingConfig]:
    devices = powers_of_two(max(1, can.devices))
    replicas = powers_of_two(GPU_REPLICAS * max(devices))
    overlaps = (False, True) if can.overlap else (False,)
    graphs = (False, True) if can.cuda_graphs else (False,)
    return [
        ServingConfig(replicas=count, devices=over, overlap=overlap, cuda_graphs=graph)
        for over, count, overlap, graph in product(devices, replicas, overlaps, graphs)
        if over <= count <= GPU_REPLICAS * over
    ]


def _on_cpu(axes: Axes, can_all: bool) -> list[ServingConfig]:
    """Return the ways on the host; other providers than the CPU's have no mode and no spinning."""
    limit = OVERSUBSCRIPTION * axes.cores
    spins = (True, False) if can_all and axes.abilities.spinning else (True,)
    found = []
    for replicas, threads in product(axes.replicas, axes.intra_op_threads):
        if replicas * threads > limit:
            continue
        for spinning in spins if threads > 1 else (False,):
            found.append(
                ServingConfig(replicas=replicas, intra_op_threads=threads, spinning=spinning)
            )
        if not can_all:
            continue
        for inter, spinning in product(axes.inter_op_threads, spins):
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
