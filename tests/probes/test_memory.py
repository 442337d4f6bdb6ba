import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autotune.probes.memory import available_memory_bytes, peak_memory_bytes

MIB = 2**20
UNLIMITED_V1 = 9223372036854771712


class Machine:
    """Fake files: 8 GiB available, a cgroup mount, and a membership."""

    def __init__(self, folder: Path, membership: str, available_kib: int | None = 8 << 20) -> None:
        self.root, self.proc, self.meminfo = folder / "cg", folder / "proc", folder / "meminfo"
        self.root.mkdir()
        self.proc.write_text(membership)
        if available_kib is not None:
            self.meminfo.write_text(
                f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable:   {available_kib} kB\n"
            )

    def v2(self, path: str, limit: int | str, used: int, cache: int | None = None) -> None:
        self._put(path, ("memory.max", limit), ("memory.current", used), cache)

    def v1(self, path: str, limit: int, used: int, cache: int | None = None) -> None:
        self._put(path, ("memory.limit_in_bytes", limit), ("memory.usage_in_bytes", used), cache)

    def available(self) -> int | None:
        return available_memory_bytes(self.root, self.proc, self.meminfo)

    def _put(
        self, path: str, limit: tuple[str, int | str], used: tuple[str, int], cache: int | None
    ) -> None:
        group = self.root / path
        group.mkdir(parents=True, exist_ok=True)
        for name, value in (limit, used):
            (group / name).write_text(f"{value}\n")
        if cache is not None:
            (group / "memory.stat").write_text(f"anon 7\ninactive_file {cache}\nactive_file 9\n")


def test_without_a_cgroup_what_the_machine_has_available_counts(tmp_path: Path) -> None:
    assert Machine(tmp_path, "").available() == 8 << 30


def test_v2_leaves_the_limit_less_what_is_used(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/job\n")
    machine.v2("job", 1000 * MIB, 300 * MIB)
    assert machine.available() == 700 * MIB


def test_page_cache_that_can_go_counts_as_free(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/job\n")
    machine.v2("job", 1000 * MIB, 900 * MIB, cache=400 * MIB)
    assert machine.available() == 500 * MIB


def test_v2_the_tightest_group_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/pod/deep/job\n")
    machine.v2("pod/deep/job", 4000 * MIB, 100 * MIB)
    machine.v2("pod/deep", "max", 200 * MIB)
    machine.v2("pod", 1000 * MIB, 900 * MIB)
    machine.v2("other", 1 * MIB, 0)
    assert machine.available() == 100 * MIB


def test_v2_max_leaves_what_the_machine_has(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/job\n")
    machine.v2("job", "max", 300 * MIB)
    assert machine.available() == 8 << 30


def test_v1_leaves_the_limit_less_what_is_used_also_of_a_parent(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "9:cpu:/elsewhere\n5:memory:/pod/job\n")
    machine.v1("memory/pod", 2000 * MIB, 500 * MIB)
    machine.v1("memory/pod/job", UNLIMITED_V1, 400 * MIB)
    machine.v1("memory/elsewhere", 1 * MIB, 0)
    assert machine.available() == 1500 * MIB


def test_v1_unlimited_leaves_what_the_machine_has(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "5:memory:/job\n", available_kib=None)
    machine.v1("memory/job", UNLIMITED_V1, 400 * MIB)
    assert machine.available() is None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_container_that_cannot_see_its_own_path_reads_the_mounts_root(
    tmp_path: Path, version: str
) -> None:
    if version == "v1":
        machine = Machine(tmp_path, "5:memory:/docker/abc\n")
        machine.v1("memory", 512 * MIB, 12 * MIB)
    else:
        machine = Machine(tmp_path, "0::/kubepods/abc\n")
        machine.v2(".", 512 * MIB, 12 * MIB)
    assert machine.available() == 500 * MIB


def test_a_machine_with_less_than_the_group_grants_bounds_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/job\n", available_kib=1024)
    machine.v2("job", 1000 * MIB, 0)
    assert machine.available() == MIB


def test_a_group_over_its_limit_leaves_nothing_rather_than_less(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/job\n")
    machine.v2("job", 100 * MIB, 150 * MIB)
    assert machine.available() == 0


def test_a_limit_without_a_readable_usage_is_passed_over(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/job\n")
    machine.v2("job", 100 * MIB, 0)
    (machine.root / "job" / "memory.current").unlink()
    assert machine.available() == 8 << 30


def test_where_nothing_can_be_read_the_answer_is_unknown(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert available_memory_bytes(absent, absent, absent) is None


def test_this_process_has_peaked_above_what_it_holds_now() -> None:
    held = np.ones(64 * MIB // 8)
    assert peak_memory_bytes() > held.nbytes
    assert peak_memory_bytes() < 1 << 40


def test_v1_page_cache_of_children_counts_as_free(tmp_path: Path) -> None:
    group = tmp_path / "cg" / "memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("900\n")
    (group / "memory.stat").write_text("inactive_file 0\ntotal_inactive_file 500\n")
    (tmp_path / "proc").write_text("5:memory:/\n")
    assert available_memory_bytes(tmp_path / "cg", tmp_path / "proc", tmp_path / "none") == 600


def test_what_the_parent_has_used_is_not_the_childs_peak() -> None:
    held = np.ones(400 * MIB // 8)
    script = "from autotune.probes.memory import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert MIB < int(done.stdout) < held.nbytes


def test_the_peaks_of_workers_are_added_and_those_that_ended_have_none(tmp_path: Path) -> None:
    for name, peak_kib in (("self", 100), ("7", 20), ("8", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "status").write_text(f"Name: x\nVmHWM: {peak_kib} kB\n")
    assert peak_memory_bytes(proc=tmp_path) == 100 << 10
    assert peak_memory_bytes([7, 8, 9], proc=tmp_path) == 123 << 10


def test_where_the_kernel_has_no_status_file_the_peak_is_asked_for(tmp_path: Path) -> None:
    assert peak_memory_bytes(proc=tmp_path) >= peak_memory_bytes() // 2
