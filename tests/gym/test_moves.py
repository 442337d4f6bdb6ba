"""Where moves lead: legal places only, one value of one knob at a time, and back again."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.gym.moves import STAY, Moves, actions
from autotune.outcome import Abilities
from autotune.space.axes import make_axes
from autotune.space.lattice import Lattice, make_lattice, placed
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

DEFAULT_THREADS = 2
ON_THREADS, IN_PROCESSES = Abilities(), Abilities(replicas_as=("threads", "processes"))
undated = settings(deadline=None)
"""A lattice is made once, in the first example that has it."""


@functools.cache
def lattice_of(cores: int, batchable: bool = True, abilities: Abilities = ON_THREADS) -> Lattice:
    axes = make_axes(cores, batchable, 50.0, abilities)
    return make_lattice(axes, min(cores, DEFAULT_THREADS), 0, None)


def moves_on(lattice: Lattice, threads: int = DEFAULT_THREADS) -> tuple[Moves, tuple[str, ...]]:
    _, names = placed(lattice.configs, threads)
    return Moves(lattice.coordinates, names, None), names


@undated
@given(cores=st.integers(1, 12), batchable=st.booleans(), data=st.data())
def test_a_step_changes_its_own_knob_by_one_value_and_no_other_that_means_anything(
    cores: int, batchable: bool, data: st.DataObject
) -> None:
    lattice = lattice_of(cores, batchable)
    moves, names = moves_on(lattice, min(cores, DEFAULT_THREADS))
    point = data.draw(st.integers(0, len(lattice.configs) - 1))
    action = data.draw(st.integers(1, moves.actions - 1))
    target = moves.target(point, action)
    if target is None:
        return
    axis, down = divmod(action - 1, 2)
    before, after = lattice.coordinates[point], lattice.coordinates[target]
    between = np.unique(lattice.coordinates[:, axis])
    step = np.searchsorted(between, after[axis]) - np.searchsorted(between, before[axis])
    assert step == (-1 if down else 1)
    for other in np.flatnonzero(before != after):
        assert other == axis or (names[other] in ("spinning", "batch_timeout") and not after[other])


@undated
@given(cores=st.integers(1, 12), data=st.data())
def test_a_step_up_is_taken_back_by_the_one_down(cores: int, data: st.DataObject) -> None:
    lattice = lattice_of(cores)
    moves, _ = moves_on(lattice, min(cores, DEFAULT_THREADS))
    point = data.draw(st.integers(0, len(lattice.configs) - 1))
    axis = data.draw(st.integers(0, len(lattice.coordinates.T) - 1))
    up = moves.target(point, 2 * axis + 1)
    if up is not None and (lattice.coordinates[point] != lattice.coordinates[up]).sum() == 1:
        assert moves.target(up, 2 * axis + 2) == point


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_every_configuration_can_be_reached_from_the_default(cores: int) -> None:
    lattice = lattice_of(cores, abilities=IN_PROCESSES)
    moves, _ = moves_on(lattice, min(cores, DEFAULT_THREADS))
    reached, waiting = {0}, [0]
    while waiting:
        point = waiting.pop()
        found = {moves.target(point, action) for action in range(moves.actions)} - {None}
        waiting += [one for one in found if one is not None and one not in reached]
        reached |= {one for one in found if one is not None}
    assert len(reached) == len(lattice.configs)


def test_the_mask_says_which_moves_lead_somewhere() -> None:
    lattice = lattice_of(2)
    moves, names = moves_on(lattice)
    mask = moves.mask(0)
    assert mask.dtype == np.int8
    assert mask[STAY] == 1
    assert mask.tolist() == [moves.target(0, a) is not None for a in range(actions(len(names)))]
    assert not mask[2 * names.index("replicas") + 2]  # below one replica there is nothing


def test_what_means_nothing_any_more_is_let_go_of() -> None:
    lattice = lattice_of(2)
    moves, names = moves_on(lattice)
    waiting = ServingConfig(
        replicas=2, intra_op_threads=1, spinning=False, max_batch_size=2, batch_timeout_ms=5
    )
    point = lattice.configs.index(waiting)
    target = moves.target(point, 2 * names.index("max_batch") + 2)
    assert target is not None
    assert lattice.configs[target] == ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
    one_thread = moves.target(0, 2 * names.index("intra_op") + 2)
    assert one_thread is not None
    assert lattice.configs[0] == RUNTIME_DEFAULT
    assert lattice.configs[one_thread] == ServingConfig(intra_op_threads=1, spinning=False)


@undated
@given(data=st.data())
def test_in_a_recording_a_move_goes_ahead_to_what_is_known_and_nearest(data: st.DataObject) -> None:
    lattice = lattice_of(4)
    count = len(lattice.configs)
    known = np.zeros(count, dtype=np.bool_)
    known[data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=12))] = True
    _, names = placed(lattice.configs, DEFAULT_THREADS)
    moves = Moves(lattice.coordinates, names, known)
    point = int(data.draw(st.sampled_from(np.flatnonzero(known).tolist())))
    action = data.draw(st.integers(1, moves.actions - 1))
    axis, down = divmod(action - 1, 2)
    sign = -1 if down else 1
    ahead = known & (sign * (lattice.coordinates[:, axis] - lattice.coordinates[point, axis]) > 0)
    target = moves.target(point, action)
    assert (target is None) == (not ahead.any())
    if target is not None:
        assert ahead[target]
