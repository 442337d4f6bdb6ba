"""Lattices as large as one likes: the points of autotune's own, by index and as arrays."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple, overload

import msgspec
import numpy as np
import numpy.typing as npt

from autotune.outcome import Flags, Samples
from autotune.space.axes import MAX_BATCH_SIZE, OVERSUBSCRIPTION, Axes
from autotune.space.lattice import coordinates, session_configs
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

Indices = npt.NDArray[np.int64]

SHORTEST_TIMEOUT_MS = 0.25
FINEST = 64.0
"""Values of a knob to each doubling, at most; timeouts go on from there."""


class Knobs(NamedTuple):
    """Settings of many sessions; arrays that broadcast. Threads: the runtime's choice resolved."""

    replicas: Samples
    threads: Samples
    inter: Samples
    parallel: Flags
    spinning: Flags

    def at(self, which: Indices) -> "Knobs":
        """Return some of them, in the shape of the indices."""
        return Knobs(
            replicas=self.replicas[which],
            threads=self.threads[which],
            inter=self.inter[which],
            parallel=self.parallel[which],
            spinning=self.spinning[which],
        )


class Grid(NamedTuple):
    """The points of a lattice: sessions, and the batching of each point."""

    sessions: list[ServingConfig]
    """Without batching. The first is the runtime's default."""
    batches: Indices
    """Values of the batch size."""
    session: Indices
    """Shape (points,): which of the sessions."""
    batch: Indices
    """Likewise: which of the batch sizes."""
    timeout_ms: Samples
    default_threads: int

    @property
    def knobs(self) -> Knobs:
        """The settings of the sessions."""
        return knobs_of(self.sessions, self.default_threads)

    @property
    def max_batch(self) -> Indices:
        """Most requests in a batch of each point."""
        return np.asarray(self.batches[self.batch])

    def coordinates(self) -> Samples:
        """Return where the points lie, as `autotune.space.lattice.coordinates` would."""
        places = np.array([coordinates(one, self.default_threads) for one in self.sessions])
        placed = places[self.session]
        placed[:, 4] = np.log2(self.batches)[self.batch]
        placed[:, 5] = np.log2(1 + self.timeout_ms)
        return placed


def cells(places: Samples, fineness: float) -> Indices:
    """Return which cell each place lies in, with so many cells to each unit of an axis."""
    key = np.zeros(len(places), dtype=np.int64)
    for axis in places.T:
        step = np.rint(fineness * axis).astype(np.int64)
        key = key * (int(step.max()) + 1) + step
    return np.unique(key, return_inverse=True)[1]


class Configs(Sequence[ServingConfig]):
    """The configurations of a grid, made when asked for."""

    def __init__(self, grid: Grid) -> None:
        """Describe a grid's points."""
        self._grid = grid

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self._grid.session)

    @overload
    def __getitem__(self, index: int) -> ServingConfig: ...
    @overload
    def __getitem__(self, index: slice) -> list[ServingConfig]: ...
    def __getitem__(self, index: int | slice) -> ServingConfig | list[ServingConfig]:
        """Return the configuration of a point, or of several."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        grid = self._grid
        session: ServingConfig = grid.sessions[grid.session[index]]
        config: ServingConfig = msgspec.structs.replace(
            session,
            max_batch_size=int(grid.batches[grid.batch[index]]),
            batch_timeout_ms=float(grid.timeout_ms[index]),
        )
        return config


def knobs_of(configs: Sequence[ServingConfig], default_threads: int) -> Knobs:
    """Return the settings of sessions as arrays."""
    return Knobs(
        replicas=np.array([float(one.replicas) for one in configs]),
        threads=np.array([float(one.intra_op_threads or default_threads) for one in configs]),
        inter=np.array([float(one.inter_op_threads) for one in configs]),
        parallel=np.array([one.execution_mode == "parallel" for one in configs]),
        spinning=np.array([one.spinning for one in configs]),
    )


def cpu_axes(cores: int, slo_ms: float, fineness: float) -> Axes:
    """Return axes with so many values to each doubling; the ends are autotune's own."""
    return Axes(
        cores=cores,
        replicas=_spread(1, OVERSUBSCRIPTION * cores, fineness),
        intra_op_threads=_spread(1, cores, fineness),
        inter_op_threads=_spread(2, min(8, cores), fineness) if cores > 1 else [],
        max_batch_sizes=_spread(1, MAX_BATCH_SIZE, fineness),
        batch_timeouts_ms=_timeouts(slo_ms, fineness),
    )


def gpu_axes(streams: int, largest: int, slo_ms: float, fineness: float) -> Axes:
    """Return axes of an accelerator: streams and batching; host threads are one each."""
    return Axes(
        cores=streams,
        replicas=_spread(1, streams, fineness),
        intra_op_threads=[1],
        inter_op_threads=[],
        max_batch_sizes=_spread(1, largest, fineness),
        batch_timeouts_ms=_timeouts(slo_ms, fineness),
    )


def fit_grid(axes_at: Callable[[float], Axes], default_threads: int, points: int) -> Grid:
    """Return the grid whose number of points is nearest to the one asked for, as a ratio."""
    best: tuple[float, Axes] | None = None
    for fineness in np.geomspace(0.2, FINEST, 200):
        axes = axes_at(float(fineness))
        sessions = session_configs(axes)
        batching = 1 + (len(axes.max_batch_sizes) - 1) * len(axes.batch_timeouts_ms)
        miss = abs(float(np.log(len(sessions) * batching / points)))
        if best is None or miss < best[0]:
            best = miss, axes
        if len(sessions) * batching > 2 * points:
            break
    assert best is not None
    return make_grid(best[1], default_threads)


def make_grid(axes: Axes, default_threads: int) -> Grid:
    """Span the points that `autotune.space.lattice.make_lattice` spans, in its order."""
    sessions = session_configs(axes)
    batching = [
        (0, 0.0),
        *product(range(1, len(axes.max_batch_sizes)), axes.batch_timeouts_ms),
    ]
    each = np.arange(len(sessions) * len(batching))
    session = 1 + each // len(batching)
    batch = np.array([size for size, _ in batching])[each % len(batching)]
    timeout_ms = np.array([timeout for _, timeout in batching])[each % len(batching)]
    twin = ServingConfig(intra_op_threads=default_threads, spinning=default_threads > 1)
    if twin in sessions:
        drop = sessions.index(twin) * len(batching)
        session, batch, timeout_ms = (
            np.delete(session, drop),
            np.delete(batch, drop),
            np.delete(timeout_ms, drop),
        )
    return Grid(
        sessions=[RUNTIME_DEFAULT, *sessions],
        batches=np.array(axes.max_batch_sizes),
        session=np.append(0, session),
        batch=np.append(0, batch),
        timeout_ms=np.append(0.0, timeout_ms),
        default_threads=default_threads,
    )


def _spread(low: int, high: int, fineness: float) -> list[int]:
    """Return whole numbers from low to high, about `fineness` of them to each doubling."""
    count = 1 + max(1, round(fineness * np.log2(high / low))) if high > low else 1
    return sorted({round(float(value)) for value in np.geomspace(low, high, count)})


def _timeouts(slo_ms: float, fineness: float) -> list[float]:
    longest_ms = slo_ms / 2
    shortest_ms = min(SHORTEST_TIMEOUT_MS, longest_ms / 2)
    count = 1 + max(1, round(fineness * np.log2(longest_ms / shortest_ms)))
    waits = np.geomspace(shortest_ms, longest_ms, count)
    return [0.0, *(float(f"{wait:.4g}") for wait in waits)]
