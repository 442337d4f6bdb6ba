"""Which joint configurations are worth a look."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from joint_world import JointWorld, asked

from autotune.stages.question import Deadline
from autotune.together.joints import configs_of, divisions, find_space, slowed_by, split
from autotune.together.survey import Ground, survey


def ground(load_rps: float = 30.0) -> Ground:
    return survey(asked(load_rps), JointWorld(), Deadline(60.0), lambda event: None)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.integers(0, 56))
def test_cores_are_divided_by_needs_and_everybody_gets_one(needs: list[float], more: int) -> None:
    cores = len(needs) + more
    shares = split(cores, np.array(needs))
    assert sum(shares) == cores
    assert min(shares) >= 1
    order = np.argsort(needs, kind="stable")
    assert (np.diff(np.array(shares)[order]) >= -1).all()


def test_the_space_holds_ways_with_shared_cores_and_with_own_ones() -> None:
    known = ground()
    space = find_space(known, asked().services, [])
    owned = [joint for joint in space.joints if joint.own_cores is not None]
    assert divisions(known) == [None, (1, 1)]
    assert 0 < len(owned) < len(space.joints)
    for joint in owned:
        for config, cores in zip(configs_of(known, joint), joint.own_cores or (), strict=True):
            assert config.replicas * config.session_shape.threads_per_replica <= cores


def test_every_joint_configuration_is_there_once() -> None:
    space = find_space(ground(), asked().services, [])
    assert len(set(space.joints)) == len(space.joints)
    assert space.slowed.shape == (2, len(space.joints))
    assert (space.slowed >= 1).all()


def test_own_cores_slow_down_less() -> None:
    known = ground()
    space = find_space(known, asked().services, [])
    for joint in space.joints:
        if joint.own_cores is not None:
            shared = slowed_by(known, joint._replace(own_cores=None))
            assert slowed_by(known, joint) <= shared
