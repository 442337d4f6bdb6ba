import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lessons import MACHINE, MODEL, TASK, lesson, time_of
from msgspec import structs

from autotune.learn.experience import Experience
from autotune.learn.places import known_places, search_place, task_of, time_place
from autotune.spec import ServingConfig, SessionShape
from autotune.traits import MachineTraits, ModelTraits

TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
STATES = [(TWO.session_shape, 1.0, 2.0), (TWO.session_shape, 4.0, 1.0)]


def test_errors_of_the_law_that_all_searches_saw_are_expected_again() -> None:
    experience = Experience([lesson(off=0.3, seed=n) for n in range(6)], MODEL, MACHINE, TASK)
    mean, deviation = experience.law_errors(STATES)
    assert mean == pytest.approx(0.3, abs=0.08)
    assert (deviation < 0.25).all()


def test_errors_that_differ_from_search_to_search_are_expected_to_differ_again() -> None:
    agree = Experience([lesson(off=0.3, seed=n) for n in range(6)], MODEL, MACHINE, TASK)
    offs = [0.8, -0.7, 0.5, -0.6, 0.7, -0.5]
    differ = Experience([lesson(off=off) for off in offs], MODEL, MACHINE, TASK)
    assert differ.law_errors(STATES).deviation.min() > agree.law_errors(STATES).deviation.max()


def test_errors_of_predicted_latency_are_learnt_likewise() -> None:
    experience = Experience([lesson(late=0.4, seed=n) for n in range(6)], MODEL, MACHINE, TASK)
    errors = experience.errors([100.0], [TWO], np.array([[0.012]]))
    assert errors is not None
    assert errors.mean[0, 0] == pytest.approx(0.4, abs=0.1)


def test_a_version_of_the_model_counts_for_more_than_strangers() -> None:
    own = ModelTraits(graph_sha256="a" * 64, weight_bytes=1e6, nodes=3, depth=3)
    strangers = [lesson(off=-0.4, seed=n) for n in range(6)]
    version = lesson(off=0.5, model=own)
    mean, _ = Experience([*strangers, version], own, MACHINE, TASK).law_errors(
        [(one.shape, float(one.batch_size), float(one.busy)) for one in version.times]
    )
    assert mean.mean() == pytest.approx(0.5, abs=0.15)


def test_with_little_seen_nothing_is_said() -> None:
    experience = Experience([lesson(times=2, latencies=1)], MODEL, MACHINE, TASK)
    assert not experience.knows_times
    assert experience.errors([100.0], [TWO], np.array([[0.012]])) is None
    with pytest.raises(ValueError, match="no executions"):
        experience.law_errors(STATES)


def test_what_is_far_from_its_prediction_was_no_measurement_of_it() -> None:
    good = [lesson(late=0.1, seed=n) for n in range(5)]
    expected = Experience(good, MODEL, MACHINE, TASK).errors([9.0], [TWO], np.array([[0.01]]))
    absurd = Experience([*good, lesson(late=1.9)], MODEL, MACHINE, TASK)
    found = absurd.errors([9.0], [TWO], np.array([[0.01]]))
    assert expected is not None
    assert found is not None
    assert found.mean[0, 0] == pytest.approx(expected.mean[0, 0], abs=0.05)


numbers = st.floats(min_value=5e-324, allow_infinity=False, allow_nan=False)
maybe = st.none() | numbers


@settings(deadline=None, max_examples=60)
@given(
    st.builds(
        ModelTraits,
        operators=st.dictionaries(st.text(max_size=8), st.integers(0, 99), max_size=3),
        work=st.dictionaries(st.sampled_from(["Conv", "MatMul", "LSTM"]), numbers, max_size=3),
        weight_bytes=maybe,
        activation_bytes=maybe,
        nodes=st.integers(0, 10**6),
        depth=st.integers(0, 10**4),
    ),
    st.builds(
        MachineTraits,
        cores=st.integers(1, 512),
        core_gflops=numbers,
        all_gflops=numbers,
        core_gbps=numbers,
        all_gbps=numbers,
        wake_us=numbers,
        l2_bytes=st.none(),
        l3_bytes=st.none(),
        clock_ghz=st.none(),
    ),
)
def test_whatever_model_and_machine_are_like_they_have_a_place(
    model: ModelTraits, machine: MachineTraits
) -> None:
    places = known_places([search_place(model, machine, 0.01), search_place(MODEL, MACHINE, 0.02)])
    assert np.isfinite(places).all()


def test_places_hold_on_any_machine() -> None:
    small, large = TASK, TASK._replace(cores=8 * TASK.cores, default_threads=8 * TASK.cores)
    all_of_small = SessionShape(
        replicas=2,
        intra_op_threads=1,
        inter_op_threads=1,
        execution_mode="sequential",
        spinning=False,
    )
    on_small = time_place(all_of_small, 4.0, 2.0, small)
    on_large = time_place(all_of_small, 4.0, 16.0, large)
    assert on_small[2] == on_large[2] == 0.0  # a core each
    assert on_small[0] - on_large[0] == 3.0


def test_a_lesson_is_told_by_its_own_task() -> None:
    found = task_of(lesson())
    assert found == TASK
    on_gpu = structs.replace(lesson(), cores=1)  # of a GPU, whatever its host has
    assert task_of(on_gpu) == TASK._replace(cores=1)
    assert time_of(found) == time_of(TASK)
