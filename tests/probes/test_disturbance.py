import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from autotune.outcome import Disturbance
from autotune.probes.disturbance import Counters, between, read_counters

Tree = Callable[[dict[str, str]], Path]

STAT = """cpu  999 999 999 999 999 999 999 999 0 0
cpu0 100 10 20 5000 70 3 4 8 90 0
cpu1 200 20 40 9000 11 6 7 16 0 0
cpu2 900 0 0 0 0 0 0 900 0 0
intr 1 2 3"""


def read(folder: Path, *cpus: int) -> Counters:
    return read_counters(folder / "proc", folder / "sys", frozenset(cpus))


def test_cpu_time_is_that_of_the_usable_cpus_without_idle_waiting_and_guests(tree: Tree) -> None:
    counters = read(tree({"proc/stat": STAT}), 0, 1)
    assert counters.cpus == (0, 1)
    assert counters.busy_s == pytest.approx((137 + 273) / os.sysconf("SC_CLK_TCK"))
    assert counters.steal_s == pytest.approx(24 / os.sysconf("SC_CLK_TCK"))


@pytest.mark.parametrize("stat", ["cpu0 1 2 3 4 5 6 7 8", "cpu0 1 2 3 4\ncpu1 1 2 3 4", ""])
def test_cpu_time_that_is_not_told_of_every_cpu_is_unknown(tree: Tree, stat: str) -> None:
    counters = read(tree({"proc/stat": stat}), 0, 1)
    assert counters.busy_s is None
    assert counters.steal_s is None


def test_v2_throttling_of_the_own_group_and_its_parents_is_added(tree: Tree) -> None:
    files = {
        "proc/self/cgroup": "0::/pod/job",
        "sys/fs/cgroup/cpu.stat": "usage_usec 1",
        "sys/fs/cgroup/pod/cpu.stat": "nr_throttled 2\nthrottled_usec 500000",
        "sys/fs/cgroup/pod/job/cpu.stat": "nr_throttled 3\nthrottled_usec 250000",
        "sys/fs/cgroup/else/cpu.stat": "nr_throttled 100\nthrottled_usec 9000000",
    }
    counters = read(tree(files), 0)
    assert (counters.throttled_periods, counters.throttled_s) == (5, 0.75)


def test_v1_throttling_is_in_nanoseconds_and_counts_once_under_two_names(tree: Tree) -> None:
    files = {
        "proc/self/cgroup": "3:cpu,cpuacct:/",
        "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_throttled 4\nthrottled_time 1500000000",
    }
    folder = tree(files)
    (folder / "sys/fs/cgroup/cpu").symlink_to("cpu,cpuacct")
    counters = read(folder, 0)
    assert (counters.throttled_periods, counters.throttled_s) == (4, 1.5)


def test_memory_and_frequency_are_read_in_their_units(tree: Tree) -> None:
    files = {
        "proc/vmstat": "pgpgin 9\npswpin 3\npswpout 4",
        "proc/pressure/memory": "some avg10=1.0 avg60=0 avg300=0 total=2500000\nfull total=9",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "3000000",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2000000",
        "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq": "1",
    }
    counters = read(tree(files), 0, 1)
    assert counters.swapped_pages == 7
    assert counters.memory_pressure_s == 2.5
    assert counters.frequency_mhz == 2500


def test_what_the_platform_does_not_tell_is_none_and_stays_none(tmp_path: Path) -> None:
    before = read(tmp_path, 0)
    one = between(before, read(tmp_path, 0))
    assert (before.throttled_s, before.swapped_pages, before.frequency_mhz) == (None, None, None)
    assert (one.steal_share, one.other_cpu_share, one.memory_pressure_share) == (None, None, None)
    assert (one.throttled_periods, one.throttled_s, one.swapped_pages) == (None, None, None)
    assert one.frequency_change is None


BEFORE = Counters(
    time_s=100.0,
    cpus=(0, 1),
    busy_s=50.0,
    steal_s=1.0,
    throttled_periods=3,
    throttled_s=0.5,
    own_cpu_s=7.0,
    involuntary_switches=10,
    major_faults=2,
    swapped_pages=5,
    memory_pressure_s=1.0,
    frequency_mhz=3000.0,
)
AFTER = Counters(
    time_s=110.0,
    cpus=(0, 1),
    busy_s=63.0,
    steal_s=2.0,
    throttled_periods=5,
    throttled_s=1.5,
    own_cpu_s=15.0,
    involuntary_switches=60,
    major_faults=6,
    swapped_pages=8,
    memory_pressure_s=1.5,
    frequency_mhz=1500.0,
)


def test_differences_are_shares_of_the_time_between() -> None:
    one = between(BEFORE, AFTER)
    assert one == Disturbance(
        seconds=10.0,
        cpus=2,
        steal_share=0.05,
        other_cpu_share=0.5,
        throttled_periods=2,
        throttled_s=1.0,
        involuntary_switches_per_s=5.0,
        major_faults=4,
        swapped_pages=3,
        memory_pressure_share=0.05,
        frequency_change=-0.5,
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Disturbance) == one
    assert msgspec.json.decode(msgspec.json.encode(one), type=Disturbance) == one


def test_own_time_that_the_ticks_missed_is_not_negative_use_by_others() -> None:
    assert between(BEFORE, msgspec.structs.replace(AFTER, own_cpu_s=21.0)).other_cpu_share == 0


def test_cpu_time_of_different_cpus_is_not_compared() -> None:
    one = between(BEFORE, msgspec.structs.replace(AFTER, cpus=(0, 3)))
    assert (one.steal_share, one.other_cpu_share) == (None, None)
    assert one.throttled_periods == 2


def test_snapshots_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="later"):
        between(AFTER, BEFORE)


def test_what_workers_do_is_this_processs_own(tree: Tree) -> None:
    pid = os.getpid()  # one whose CPU time can be read
    before = read(tree({}), 0)
    files = {
        f"proc/{pid}/stat": f"{pid} (a (bad) name) S 1 2 3 0 -1 4 100 0 1000000 0 9 9 0 0",
        f"proc/{pid}/task/1/status": "voluntary_ctxt_switches: 5\n"
        "nonvoluntary_ctxt_switches: 2000000",
        f"proc/{pid}/task/2/status": "nonvoluntary_ctxt_switches: 3000000",
    }
    folder = tree(files)
    after = read_counters(folder / "proc", folder / "sys", frozenset({0}), workers=[pid])
    assert after.major_faults - before.major_faults == pytest.approx(1e6, abs=1e5)
    assert after.involuntary_switches - before.involuntary_switches == pytest.approx(5e6, abs=1e5)
    assert after.own_cpu_s - before.own_cpu_s >= before.own_cpu_s > 0


def test_switches_of_threads_that_ended_meanwhile_are_not_taken_back() -> None:
    ended = msgspec.structs.replace(AFTER, involuntary_switches=4)
    assert between(BEFORE, ended).involuntary_switches_per_s == 0


def test_this_process_knows_its_own_work_from_that_of_others() -> None:
    before = read_counters()
    stop_s = time.monotonic() + 0.5
    while time.monotonic() < stop_s:
        pass
    after = read_counters()
    one = between(before, after)
    assert before.cpus == tuple(sorted(os.sched_getaffinity(0)))
    # Other processes may hold the core for a while, but not for most of it.
    assert after.own_cpu_s - before.own_cpu_s > 0.1
    assert one.other_cpu_share is not None
    assert one.other_cpu_share <= one.cpus - 0.1
