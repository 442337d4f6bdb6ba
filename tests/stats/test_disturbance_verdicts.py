import msgspec
import pytest

from autotune.outcome import Disturbance
from autotune.stats.disturbance import (
    crowded,
    disturbed_because,
    severity,
    stolen,
    throttled_because,
)

CALM = Disturbance(
    seconds=10.0,
    cpus=2,
    steal_share=0.0,
    other_cpu_share=0.0,
    throttled_periods=0,
    throttled_s=0.0,
    involuntary_switches_per_s=0.0,
    major_faults=0,
    swapped_pages=0,
    memory_pressure_share=0.0,
    frequency_change=0.0,
)


def run(**changes: float | None) -> Disturbance:
    return msgspec.structs.replace(CALM, **changes)


UNKNOWN = run(
    steal_share=None,
    other_cpu_share=None,
    throttled_periods=None,
    throttled_s=None,
    swapped_pages=None,
    memory_pressure_share=None,
    frequency_change=None,
)


@pytest.mark.parametrize(
    ("one", "clause"),
    [
        (run(steal_share=0.041), "4.1 % of CPU time stolen by the hypervisor"),
        (
            run(other_cpu_share=0.62, involuntary_switches_per_s=84.6),
            "other processes used 0.62 cores (it was preempted 85 times/s)",
        ),
        (run(swapped_pages=3), "3 pages swapped"),
        (run(swapped_pages=1), "1 page swapped"),
        (run(major_faults=11), "it waited for storage in 11 page faults"),
        (run(memory_pressure_share=0.12), "12 % of the time under memory pressure"),
        (run(frequency_change=-0.18), "core frequency fell by 18 %"),
    ],
)
def test_each_thing_over_its_threshold_is_one_clause_with_its_number(
    one: Disturbance, clause: str
) -> None:
    assert disturbed_because(one, cores=2) == [clause]


@pytest.mark.parametrize(
    "one",
    [
        CALM,
        UNKNOWN,
        run(steal_share=0.009),
        run(other_cpu_share=0.09),
        run(throttled_periods=12, throttled_s=0.31),
        run(major_faults=10),
        run(memory_pressure_share=0.009),
        run(frequency_change=-0.09),
        run(frequency_change=1.5),
        run(involuntary_switches_per_s=5000.0),
    ],
)
def test_what_any_machine_does_or_nobody_knows_is_no_disturbance(one: Disturbance) -> None:
    assert disturbed_because(one, cores=2) == []


def test_throttling_is_told_apart_because_a_configuration_may_cause_it_itself() -> None:
    throttled = run(throttled_periods=12, throttled_s=0.31)
    assert throttled_because(throttled) == "the cgroup throttled it in 12 periods (0.31 s)"
    assert throttled_because(run(throttled_periods=1, throttled_s=0.09)) is None
    assert throttled_because(UNKNOWN) is None


def test_every_reason_is_given() -> None:
    one = run(steal_share=0.5, swapped_pages=9, frequency_change=-0.5)
    assert len(disturbed_because(one, cores=2)) == 3


def test_a_difference_within_the_counters_resolution_is_no_disturbance() -> None:
    tick_of_each_cpu = run(seconds=1.0, steal_share=0.01)
    assert not stolen(tick_of_each_cpu)
    assert stolen(run(seconds=1.0, steal_share=0.03))
    # Sampling a second of two CPUs by ticks of 10 ms errs by 0.07 cores (one standard deviation).
    assert not crowded(run(seconds=1.0, other_cpu_share=0.2), cores=2)
    assert crowded(run(seconds=10.0, other_cpu_share=0.2), cores=2)
    assert crowded(run(seconds=1.0, other_cpu_share=0.25), cores=2)


def test_cpus_that_the_process_does_not_need_are_free_for_others() -> None:
    assert not crowded(run(cpus=64, other_cpu_share=50.0), cores=8)
    assert crowded(run(cpus=64, other_cpu_share=60.0), cores=8)
    assert crowded(run(cpus=64, other_cpu_share=50.0), cores=64)


def test_severity_adds_the_shares_of_cpu_time_that_were_lost() -> None:
    assert severity(CALM) == severity(UNKNOWN) == 0
    assert severity(run(other_cpu_share=1.0)) == 0.5
    both = run(steal_share=0.25, memory_pressure_share=0.125)
    assert severity(both) == 0.375
