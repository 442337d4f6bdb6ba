"""Two files compared: what differs is found, and what does not is left alone."""

import math
from functools import lru_cache
from itertools import combinations

import pytest
from msgspec.structs import replace
from promised import TUNED
from searched import CHOSEN, System, searched

from autotune.comparison.files import compare_files
from autotune.comparison.records import ADDED, Comparison, Difference
from autotune.config_file import TunedFile
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

STEADY = System(requests=60)
UNSTEADY = STEADY._replace(minute=0.1)
MORE = System(requests=150)
SLOWER = MORE._replace(chosen_ms=1.3 * MORE.chosen_ms)
OTHER_MODEL = "f" * 64


@lru_cache
def file(system: System, seed: int, speed: float = 1.0) -> TunedFile:
    return searched(system, seed, speed=speed)


def of_another_model(tuned: TunedFile) -> TunedFile:
    return replace(tuned, model=replace(tuned.model, sha256=OTHER_MODEL))


def answers(found: Comparison) -> list[Difference]:
    return [one for load in found.loads for one in load.differences]


def controls(found: Comparison) -> list[Difference]:
    return [one for load in found.loads for one in load.default]


def differing(found: Comparison) -> set[tuple[float, str]]:
    return {
        (load.load_rps, one.quantity)
        for load in found.loads
        for one in load.differences
        if one.verdict == "differs"
    }


def false_alarms(files: list[TunedFile], other_model: bool = False) -> float:
    """Share of pairs of which anything is said to differ."""
    pairs = list(combinations(files, 2))
    found = (compare_files(a, of_another_model(b) if other_model else b) for a, b in pairs)
    return sum(bool(differing(one)) for one in found) / len(pairs)


def test_a_file_does_not_differ_from_itself() -> None:
    found = compare_files(file(STEADY, 0), file(STEADY, 0))
    every = answers(found) + controls(found)
    assert {one.verdict for one in every} <= {"noise", "unknown"}
    assert all(one.change == (0 if one.quantity in ADDED else 1) for one in every if one.change)
    assert found.machine_moved is False
    assert found.premises == []
    assert found.summary == "On the same machine, nothing differs by more than noise."
    assert "a and b hold one and the same search" in found.notes


@pytest.mark.parametrize("b", [SLOWER, MORE], ids=["slower", "same"])
def test_swapping_the_files_inverts_changes_and_keeps_verdicts(b: System) -> None:
    mine, others = file(MORE, 1), file(b, 2)
    there, back = compare_files(mine, others), compare_files(others, mine)
    for one, other in zip(answers(there), answers(back), strict=True):
        assert (one.verdict, one.a, one.b) == (other.verdict, other.b, other.a)
        assert one.chance == pytest.approx(other.chance)
        for end, opposite in ((one.change, other.change), (one.low, other.high)):
            assert end is not None
            assert opposite is not None
            turned = -opposite if one.quantity in ADDED else 1 / opposite
            assert end == pytest.approx(turned, rel=1e-9, abs=1e-12)
    assert there.machine_moved == back.machine_moved


def test_30_percent_more_latency_is_found_and_other_things_are_not() -> None:
    found = compare_files(file(MORE, 1), file(SLOWER, 2))
    assert {(load, what) for load, what in differing(found) if what == "p50_ms"} == {
        (30.0, "p50_ms"),
        (80.0, "p50_ms"),
    }
    assert not {what for _, what in differing(found)} & {"cpu_ms_per_request", "slo_attainment"}
    p50 = found.loads[0].differences[0]
    assert (p50.quantity, p50.basis) == ("p50_ms", "over_default")
    assert p50.change == pytest.approx(1.3, rel=0.1)
    assert found.machine_moved is False
    assert "each over the default in its own run" in found.summary


def test_a_heavier_model_on_the_same_machine_is_found_without_a_control() -> None:
    heavier = System(chosen_ms=7.8, default_ms=10.4, cpu_ms=10.4, requests=150)
    found = compare_files(file(MORE, 1), of_another_model(file(heavier, 2)))
    assert (30.0, "p50_ms") in differing(found)
    assert (80.0, "cpu_ms_per_request") in differing(found)
    assert {one.basis for one in answers(found)} == {"direct"}
    assert found.machine_moved is None
    assert found.execution is not None
    assert found.execution.verdict == "differs"
    assert found.summary.startswith("Between two models, b answers 80/s with a p95 x1.")
    assert "One execution takes x1.3" in found.summary
    assert [one.what for one in found.premises] == ["model", "seed"]


def test_a_slower_machine_is_told_from_a_slower_configuration() -> None:
    found = compare_files(file(MORE, 1), file(MORE, 2, speed=1.3))
    assert found.machine_moved is True
    assert "p50_ms" in {one.quantity for one in controls(found) if one.verdict == "differs"}
    assert differing(found) == set()
    assert "The machine itself moved: at 30/s the default's p50 is x1." in found.summary


def test_without_a_control_what_machines_do_between_days_is_noise() -> None:
    found = compare_files(file(MORE, 1), of_another_model(file(MORE, 2, speed=1.07)))
    assert differing(found) == set()
    assert any("differs by up to 10 % counts as noise" in note for note in found.notes)


def test_one_search_that_chose_the_default_is_held_against_one_that_did_not() -> None:
    kept = file(MORE._replace(config=RUNTIME_DEFAULT), 3)
    found = compare_files(kept, file(MORE, 1))
    p50 = next(one for one in answers(found) if one.quantity == "p50_ms")
    assert p50.verdict == "differs"
    assert p50.change == pytest.approx(6 / 8, rel=0.1)
    assert found.loads[0].a is not None
    assert found.loads[0].a.config == RUNTIME_DEFAULT


def test_where_both_chose_the_default_it_is_all_control() -> None:
    kept = MORE._replace(config=RUNTIME_DEFAULT)
    found = compare_files(file(kept, 3), file(kept, 4))
    assert answers(found) == []
    assert len(controls(found)) == 10
    other = compare_files(file(kept, 3), of_another_model(file(kept, 4)))
    assert controls(other) == []
    assert len(answers(other)) == 10


def test_files_without_a_load_in_common_are_compared_by_their_answers() -> None:
    a = searched(STEADY, 5, loads_rps=(20.0,))
    b = searched(STEADY, 6, loads_rps=(50.0,))
    found = compare_files(a, b)
    assert answers(found) + controls(found) == []
    low, high = found.loads
    assert (low.load_rps, high.load_rps) == (20.0, 50.0)
    assert low.b is not None
    assert low.b.entry_load_rps == 50.0
    assert high.a is None
    assert "no load was measured in both files" in found.summary
    assert "search again with --loads 20 for b" in found.notes[0]


def test_loads_that_are_nearly_equal_are_one() -> None:
    a = searched(STEADY, 5, loads_rps=(100.0,))
    near, far = (searched(STEADY, 6, loads_rps=(load,)) for load in (100.9, 102.0))
    assert len(compare_files(a, near).loads) == 1
    assert len(compare_files(a, far).loads) == 2


def test_a_machine_of_another_kind_is_allowed_and_named() -> None:
    machine = replace(TUNED.machine, cpu="Another CPU", cores_usable=16)
    found = compare_files(file(STEADY, 0), replace(file(STEADY, 1), machine=machine))
    assert found.same_system is False
    assert found.summary.startswith("Between two machines, ")
    assert {one.what for one in found.premises} == {"CPU", "usable cores", "seed"}


def test_disturbed_rounds_cannot_tell() -> None:
    def disturbed(tuned: TunedFile, rounds: int) -> TunedFile:
        spoilt = [
            replace(trial, measured=replace(trial.measured, disturbed=["a neighbour"]))
            if trial.measured is not None and number % 6 < rounds
            else trial
            for number, trial in enumerate(tuned.trials)
        ]
        policy = [
            replace(entry, measured=replace(entry.measured, disturbed=["a neighbour (worst)"]))
            for entry in tuned.policy
            if entry.measured is not None
        ]
        return replace(tuned, trials=spoilt, policy=policy)

    half = compare_files(file(MORE, 1), disturbed(file(SLOWER, 2), 3))
    assert {one.verdict for one in answers(half)} == {"unknown"}
    assert {one.reason for one in answers(half)} == {"b was disturbed: a neighbour (worst)"}
    assert any("quieter machine" in note for note in half.notes)
    third = compare_files(file(MORE, 1), disturbed(file(SLOWER, 2), 2))
    assert (30.0, "p50_ms") in differing(third)


def test_without_rounds_the_intervals_in_the_file_decide() -> None:
    def bare(tuned: TunedFile) -> TunedFile:
        return replace(tuned, trials=[])

    slower = compare_files(bare(file(MORE, 1)), bare(file(SLOWER, 2)))
    assert {what for _, what in differing(slower)} >= {"p50_ms"}
    cpu = next(one for one in answers(slower) if one.quantity == "cpu_ms_per_request")
    assert (cpu.verdict, cpu.change) == ("unknown", None)
    assert "too few windows" in cpu.reason
    assert differing(compare_files(bare(file(MORE, 1)), bare(file(MORE, 2)))) == set()


def test_other_slos_leave_shares_out() -> None:
    other = replace(file(STEADY, 1), slo=replace(TUNED.slo, latency_ms=20.0))
    found = compare_files(file(STEADY, 0), other)
    assert "slo_attainment" not in {one.quantity for one in answers(found)}
    assert any("the SLOs differ" in note for note in found.notes)


def test_a_queue_without_end_differs_from_one_that_is_proven_to_meet_the_slo() -> None:
    def endless(tuned: TunedFile) -> TunedFile:
        (entry, *rest) = tuned.policy
        assert entry.measured is not None
        measured = replace(entry.measured, diverged=True, meets_slo=False, slo_verdict="missed")
        return replace(tuned, policy=[replace(entry, measured=measured, meets_slo=False), *rest])

    def proven(tuned: TunedFile) -> TunedFile:
        (entry, *rest) = tuned.policy
        assert entry.measured is not None
        measured = replace(entry.measured, slo_verdict="met")
        return replace(tuned, policy=[replace(entry, measured=measured), *rest])

    a, b = file(STEADY, 0), endless(file(STEADY, 1))
    found = compare_files(proven(a), b)
    assert differing(found) == {(30.0, "diverged")}
    assert found.summary.startswith("On the same machine, b is overloaded by 30/s, which a serves")
    p99 = next(one for one in found.loads[0].differences if one.quantity == "p99_ms")
    assert p99.reason == "b has a queue that grows without end"
    assert differing(compare_files(a, b)) == set()


def test_old_files_without_a_reference_can_be_compared() -> None:
    found = compare_files(replace(file(STEADY, 0), reference=None), file(STEADY, 1))
    assert found.execution is None


@pytest.mark.parametrize("system", [STEADY, UNSTEADY], ids=["steady", "unsteady"])
def test_searches_of_the_same_thing_are_rarely_said_to_differ(system: System) -> None:
    files = [file(system, seed) for seed in range(10, 22)]
    assert false_alarms(files) <= 0.05
    assert false_alarms(files, other_model=True) <= 0.05


@pytest.mark.slow
def test_false_alarms_stay_below_the_stated_level_over_many_searches() -> None:
    files = [searched(STEADY, seed) for seed in range(100, 500)]
    pairs = list(zip(files[::2], files[1::2], strict=True))
    alarms = sum(bool(differing(compare_files(a, b))) for a, b in pairs)
    # 5 %, and what chance adds in 1 of 100 batches of so many.
    assert alarms <= 0.05 * len(pairs) + 2.33 * math.sqrt(len(pairs) * 0.05 * 0.95)


def test_configurations_that_differ_are_named_even_where_numbers_do_not() -> None:
    other = ServingConfig(replicas=3, intra_op_threads=1)
    found = compare_files(file(STEADY, 0), file(STEADY._replace(config=other), 1))
    assert "though other configurations were chosen at 2 of 2 loads" in found.summary
    assert found.loads[0].a is not None
    assert found.loads[0].a.config == CHOSEN
