import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.probes.cores import Cores, cgroup_folders, cgroup_quota, usable_cores


def tree(folder: Path, membership: str) -> tuple[Path, Path]:
    """An empty cgroup mount and a /proc/self/cgroup with this text."""
    root, proc = folder / "cgroup", folder / "proc_self_cgroup"
    root.mkdir()
    proc.write_text(membership)
    return root, proc


def put(root: Path, **files: str) -> None:
    """Write files into a cgroup folder; `cpu_max` becomes `cpu.max`."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("_", ".", 1)).write_text(text + "\n")


def test_v2_quota_of_the_own_group(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "0::/user/job\n")
    put(root / "user" / "job", cpu_max="150000 100000")
    assert cgroup_quota(root, proc) == 1.5


@pytest.mark.parametrize(("parent", "leaf"), [("200000 100000", "max 100000"), ("1000 500", "4 1")])
def test_v2_the_tightest_quota_on_the_way_to_the_root_counts(
    tmp_path: Path, parent: str, leaf: str
) -> None:
    root, proc = tree(tmp_path, "0::/pod/deep/job\n")
    put(root / "pod", cpu_max=parent)
    put(root / "pod" / "deep", cpu_max="max 100000")
    put(root / "pod" / "deep" / "job", cpu_max=leaf)
    put(root / "other", cpu_max="1 100000")
    assert cgroup_quota(root, proc) == 2.0


def test_v2_max_everywhere_is_no_limit(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "0::/a/b\n")
    put(root / "a" / "b", cpu_max="max 100000")
    put(root / "a", cpu_max="max")
    assert cgroup_quota(root, proc) is None


def test_v2_a_quota_without_a_period_has_the_kernels_default(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "0::/\n")
    put(root, cpu_max="250000")
    assert cgroup_quota(root, proc) == 2.5


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpuacct,cpu", "cpu"])
def test_v1_quota_is_found_under_the_name_that_the_controllers_are_mounted_at(
    tmp_path: Path, controllers: str
) -> None:
    membership = f"7:memory:/else\n4:{controllers}:/docker/abc\n1:name=systemd:/x\n"
    root, proc = tree(tmp_path, membership)
    put(root / controllers / "docker" / "abc", cpu_cfs_quota_us="50000", cpu_cfs_period_us="100000")
    put(root / "memory" / "else", cpu_cfs_quota_us="1", cpu_cfs_period_us="100000")
    assert cgroup_quota(root, proc) == 0.5


def test_v1_quota_is_found_where_only_the_single_controller_is_mounted(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "4:cpu,cpuacct:/job\n")
    put(root / "cpu" / "job", cpu_cfs_quota_us="300000", cpu_cfs_period_us="100000")
    assert cgroup_quota(root, proc) == 3.0


def test_v1_a_parents_quota_counts_where_the_leaf_has_none(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "4:cpu:/pod/job\n")
    put(root / "cpu" / "pod", cpu_cfs_quota_us="200000", cpu_cfs_period_us="100000")
    put(root / "cpu" / "pod" / "job", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    put(root / "cpu", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    assert cgroup_quota(root, proc) == 2.0


def test_hybrid_reads_the_unified_mount_beside_v1(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "3:cpu:/job\n0::/job\n")
    put(root / "cpu" / "job", cpu_cfs_quota_us="400000", cpu_cfs_period_us="100000")
    put(root / "unified" / "job", cpu_max="300000 100000")
    assert cgroup_quota(root, proc) == 3.0


@pytest.mark.parametrize(
    ("membership", "mount"),
    [("0::/kubepods/pod1/abc\n", "."), ("5:cpu,cpuacct:/docker/abc\n", "cpu,cpuacct")],
)
def test_a_container_that_cannot_see_its_own_path_reads_the_mounts_root(
    tmp_path: Path, membership: str, mount: str
) -> None:
    root, proc = tree(tmp_path, membership)
    put(root / mount, cpu_max="75000 100000")
    assert cgroup_quota(root, proc) == 0.75


def test_missing_files_and_folders_are_no_limit(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "0::/a\n4:cpu:/b\n")
    assert cgroup_quota(root, proc) is None
    assert cgroup_quota(tmp_path / "absent", proc) is None
    assert cgroup_quota(root, tmp_path / "absent") is None


@pytest.mark.parametrize("text", ["", "nonsense", "100000 0", "0 100000", "inf 1", "max"])
def test_a_quota_that_makes_no_sense_is_no_limit(tmp_path: Path, text: str) -> None:
    root, proc = tree(tmp_path, "0::/\n")
    put(root, cpu_max=text)
    assert cgroup_quota(root, proc) is None


@pytest.mark.parametrize("text", ["garbage\n", "0:\n", "\n\n", "4:cpuset:/x\n"])
def test_a_membership_that_names_no_cpu_group_is_no_limit(tmp_path: Path, text: str) -> None:
    root, proc = tree(tmp_path, text)
    put(root / "x", cpu_max="1 1")
    put(root / "cpuset" / "x", cpu_max="1 1")
    assert cgroup_quota(root, proc) is None


def test_folders_run_from_the_leaf_to_the_root_and_exist(tmp_path: Path) -> None:
    root, proc = tree(tmp_path, "0::/a/b/gone\n")
    put(root / "a" / "b")
    assert cgroup_folders(root, proc, "cpu") == [root / "a" / "b", root / "a", root]


@pytest.mark.parametrize(
    ("affinity", "quota", "usable"),
    [(8, None, 8), (8, 1.5, 1), (8, 0.5, 1), (8, 4.0, 4), (2, 16.0, 2), (1, None, 1)],
)
def test_whole_cores_within_affinity_and_quota_are_usable(
    affinity: int, quota: float | None, usable: int
) -> None:
    assert Cores(affinity=affinity, quota=quota).usable == usable


@given(st.integers(1, 512), st.floats(0.01, 1024))
def test_there_is_always_a_core_and_never_more_than_granted(affinity: int, quota: float) -> None:
    usable = Cores(affinity=affinity, quota=quota).usable
    assert 1 <= usable <= max(1, min(affinity, quota))


def test_this_process_may_use_no_more_cores_than_the_machine_has() -> None:
    cores = usable_cores()
    assert 1 <= cores.usable <= cores.affinity <= (os.cpu_count() or 1)
