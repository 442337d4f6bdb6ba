import subprocess
import sys
import time

import msgspec
import pytest

from autotune.diagnosis import load
from autotune.diagnosis.load import Watched
from autotune.outcome import Disturbance
from autotune.probes.disturbance import read_counters
from autotune.probes.processes import Busy

CALM = Disturbance(
    seconds=2.0,
    cpus=4,
    steal_share=0.0,
    other_cpu_share=0.0,
    throttled_periods=0,
    throttled_s=0.0,
    involuntary_switches_per_s=0.0,
    major_faults=0,
    swapped_pages=0,
    memory_pressure_share=0.0,
    frequency_change=None,
)
FFMPEG = Busy(pid=321, name="ffmpeg", cpu_s=1.2)


def watched(other_cpu_share: float | None, top: Busy | None = FFMPEG) -> Watched:
    sample = msgspec.structs.replace(CALM, other_cpu_share=other_cpu_share)
    return Watched(before=read_counters(), sample=sample, top=top)


def test_other_load_spoils_and_names_the_process_that_uses_most() -> None:
    one = load.other_load(watched(0.75), cores=4)
    assert one.level == "spoils"
    assert one.found == ("Other processes use 0.75 of 4 CPUs, most of all ffmpeg (pid 321): 0.60.")
    assert "Stop ffmpeg" in one.remedy


def test_load_from_outside_the_container_is_said_to_be_unseen() -> None:
    one = load.other_load(watched(0.75, top=None), cores=4)
    assert one.level == "spoils"
    assert "unseen from here" in one.found


def test_little_load_is_well_and_untold_load_is_unknown() -> None:
    assert load.other_load(watched(0.1), cores=4).level == "ok"
    assert load.other_load(watched(None), cores=4).level == "unknown"


@pytest.mark.parametrize(
    ("share", "level"), [(0.0, "ok"), (0.005, "ok"), (0.042, "spoils"), (None, "unknown")]
)
def test_stolen_time_spoils(share: float | None, level: str) -> None:
    one = load.steal(msgspec.structs.replace(CALM, steal_share=share))
    assert one.level == level
    assert ("4.2 % of CPU time" in one.found) == (share == 0.042)


def test_late_wake_ups_spoil_by_their_tail() -> None:
    late = load.wake_ups([1e-4] * 197 + [2e-3] * 3)
    assert late.level == "spoils"
    assert late.found == "Sleepers wake 0.10 ms late (p50), 2.00 ms (p99)."
    assert load.wake_ups([1e-4] * 198 + [2e-3] * 2).level == "ok"


def test_lateness_is_what_exceeds_the_millisecond() -> None:
    awake = load.lateness_s(naps=50, sleep=lambda seconds: None)
    assert awake == sorted(awake)
    assert -1e-3 <= awake[0] < -0.5e-3
    assert load.lateness_s(naps=50)[0] >= 0


def test_a_process_that_computes_is_found_by_watching() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            time.sleep(0.1)
            seen = load.watch(seconds=0.5)
        finally:
            process.kill()
    assert seen.sample.other_cpu_share is not None
    assert seen.sample.other_cpu_share > 0.1
    assert seen.top is not None
    assert seen.top.cpu_s > 0.05
