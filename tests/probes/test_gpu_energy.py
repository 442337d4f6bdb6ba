"""NVML, of which a fake stands in: what it answers, and what it does not."""

import ctypes
from typing import Any

import pytest

from autotune.probes.energy import Domain, Energy, joules_between, with_gpus
from autotune.probes.gpu_energy import gpu_energy_mj, open_nvml, visible_gpus

OK, NOT_SUPPORTED = 0, 3
ABSENT = Energy(state="absent", domains={})


class FakeNvml:
    """A library that answers as NVML does, by references; None: that GPU has no counter."""

    def __init__(self, *energies_mj: int | None, ready: int = OK) -> None:
        self.energies_mj, self.ready = energies_mj, ready

    def nvmlInit_v2(self) -> int:
        return self.ready

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.energies_mj)
        return OK

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, device: Any) -> int:
        device._obj.value = 1 + number
        return OK

    def nvmlDeviceGetUUID(self, device: Any, uuid: Any, size: int) -> int:
        uuid.value = f"GPU-{device.value - 1}{'x' * 9}"[:size].encode()
        return OK

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Any, energy_mj: Any) -> int:
        known = self.energies_mj[device.value - 1]
        energy_mj._obj.value = known or 0
        return NOT_SUPPORTED if known is None else OK


class OlderNvml:
    """From before the counters."""

    def nvmlInit_v2(self) -> int:
        return OK


def uuid(number: int) -> str:
    return f"GPU-{number}xxxxxxxxx"


def test_every_gpu_is_read_by_its_uuid() -> None:
    beyond_32_bits = 5_000_000_000
    found = gpu_energy_mj(FakeNvml(7, beyond_32_bits), None)
    assert found == {uuid(0): 7, uuid(1): beyond_32_bits}


@pytest.mark.parametrize("visible", ["1", " 1 ", uuid(1)])
def test_gpus_that_may_not_be_used_are_not_counted(visible: str) -> None:
    assert gpu_energy_mj(FakeNvml(7, 8), visible) == {uuid(1): 8}


@pytest.mark.parametrize("visible", ["", "2", "0,5", "MIG-1", "-1"])
def test_a_slice_and_a_gpu_that_is_not_there_cannot_be_read(visible: str) -> None:
    assert gpu_energy_mj(FakeNvml(7, 8), visible) is None


def test_one_gpu_without_a_counter_spoils_the_sum_unless_it_takes_no_part() -> None:
    assert gpu_energy_mj(FakeNvml(7, None), None) is None
    assert gpu_energy_mj(FakeNvml(7, None), "0") == {uuid(0): 7}


def test_no_library_no_driver_and_an_old_library_are_none() -> None:
    def missing(name: str) -> Any:
        return ctypes.CDLL(f"no-such-{name}")

    assert open_nvml(missing) is None
    assert open_nvml(lambda name: FakeNvml(ready=9)) is None
    assert open_nvml(lambda name: object()) is None
    assert gpu_energy_mj(None, None) is None
    assert gpu_energy_mj(open_nvml(lambda name: OlderNvml()), None) is None
    assert gpu_energy_mj(FakeNvml(), None) is None


def test_a_child_sees_the_gpus_that_are_named_or_those_of_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert (visible_gpus([0, 2]), visible_gpus([])) == ("0,2", "3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus([]) is None


def test_gpus_count_beside_packages_and_alone_where_these_cannot_be_read() -> None:
    packages = Energy(state="read", domains={"package-0": Domain(energy_uj=10**6, range_uj=None)})
    later = Energy(state="read", domains={"package-0": Domain(energy_uj=3 * 10**6, range_uj=None)})
    gpus, gpus_later = {uuid(0): 1000, uuid(1): 0}, {uuid(0): 5000, uuid(1): 500}
    both = with_gpus(packages, gpus)
    assert both.described == "package-0 and 2 GPUs"
    assert joules_between(both, with_gpus(later, gpus_later)) == pytest.approx(2 + 4 + 0.5)
    alone = with_gpus(ABSENT, {uuid(0): 1000})
    assert (alone.state, alone.described) == ("read", "1 GPU")
    assert joules_between(alone, with_gpus(ABSENT, {uuid(0): 1250})) == pytest.approx(0.25)


def test_gpus_that_cannot_be_read_leave_the_packages_as_they_are() -> None:
    assert with_gpus(ABSENT, None) == ABSENT
    assert ABSENT.described == ""
    # Of the two moments, only one knows the GPU.
    assert joules_between(with_gpus(ABSENT, {uuid(0): 1}), ABSENT) is None
