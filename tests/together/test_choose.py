"""What is recommended of several ways to run all models."""

import msgspec
import numpy as np
import pytest
from joint_world import asked
from made import run_of

from autotune.records import Failed
from autotune.together.choose import Judged, choose, judge, versus
from autotune.together.confirm import Finalist
from autotune.together.joints import Joint
from autotune.together.measuring import Run
from autotune.together.records import Way

SERVICES = asked(slo_ms=50.0).services
ROUNDS = 6


def finalist(
    way: Way, a_ms: float, b_ms: float, cpu_s: float = 1.0, rounds: int = ROUNDS
) -> Finalist:
    rng = np.random.default_rng(len(way))

    def run(ms: float) -> Run:
        latency_s = ms / 1e3 * rng.uniform(0.9, 1.0, 300)
        one = msgspec.structs.replace(run_of(latency_s, used=(cpu_s, 1)), duration_s=10.0)
        return Run([one], [one])

    both = [(run(a_ms), run(b_ms)) for _ in range(rounds)]
    runs = [Run(a.services + b.services, a.models + b.models) for a, b in both]
    return Finalist(way, Joint((0, 0), None), runs, [])


def chosen(*finalists: Finalist) -> Way:
    return choose(judge(finalists, SERVICES), SERVICES).finalist.way


def test_what_keeps_every_slo_beats_what_does_not() -> None:
    assert chosen(finalist("default", 20, 90), finalist("together", 45, 45)) == "together"


def test_the_simpler_stays_where_nothing_is_proven_better() -> None:
    assert chosen(finalist("together", 30, 30), finalist("default", 30, 30)) == "default"


def test_the_worst_service_counts() -> None:
    assert chosen(finalist("default", 5, 45), finalist("together", 30, 30)) == "together"


def test_as_fast_for_less_cpu_time_is_better() -> None:
    assert chosen(finalist("default", 30, 30, 2.0), finalist("together", 30, 30, 1.0)) == "together"


def test_the_first_that_keeps_the_slos_wins_though_too_few_rounds_prove_it() -> None:
    assert (
        chosen(finalist("default", 20, 51, rounds=2), finalist("together", 49, 49, rounds=2))
        == "together"
    )


def test_where_nothing_keeps_them_the_fastest_is_named() -> None:
    judged = judge([finalist("default", 90, 300), finalist("together", 90, 100)], SERVICES)
    winner = choose(judged, SERVICES)
    assert winner.finalist.way == "together"
    assert not winner.meets_all


def test_rounds_that_one_lacks_do_not_count() -> None:
    judged = judge([finalist("default", 30, 30, rounds=4), finalist("together", 30, 30)], SERVICES)
    assert {len(one.finalist.runs) for one in judged} == {4}


def test_what_failed_once_is_out() -> None:
    failed = finalist("together", 10, 10)
    failed.failed.append(Failed(kind="crash", detail="gone"))
    assert [one.finalist.way for one in judge([finalist("default", 30, 30), failed], SERVICES)] == [
        "default"
    ]


def test_a_comparison_has_ratios_and_a_reason() -> None:
    one, other = judge([finalist("default", 40, 40, 2.0), finalist("together", 20, 20)], SERVICES)
    assert isinstance(one, Judged)
    found = versus(other, one, SERVICES)
    assert found.way == "default"
    assert found.proven
    assert found.worst_ratio == pytest.approx(0.5, rel=0.05)
    assert found.cpu_ratio == pytest.approx(0.5)
    assert found.reason == "lower latency"
