"""Energy of GPUs, from the counters of their driver, by NVIDIA's management library (NVML).

Source: NVIDIA, "NVML API Reference Guide", `nvmlDeviceGetTotalEnergyConsumption`: millijoules since
the driver was loaded; Volta and later. GPUs update the counter every 20 to 100 ms.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_UUID_BYTES = 96
"""NVML_DEVICE_UUID_V2_BUFFER_SIZE."""


def open_nvml(load: Callable[[str], Any] = ctypes.CDLL) -> Any | None:
    """Return the library, ready to be asked; None: there is none, or no driver."""
    try:
        nvml = load(_LIBRARY)
        return None if nvml.nvmlInit_v2() else nvml
    except (OSError, AttributeError):
        return None


@cache
def this_nvml() -> Any | None:
    """Return the library of this machine, opened once: that takes longer than to read a counter."""
    return open_nvml()


def gpu_energy_mj(nvml: Any | None, visible: str | None) -> dict[str, int] | None:
    """Return millijoules by UUID; None where one of the GPUs cannot be read.

    A slice of a GPU (MIG) has no counter of its own.

    Args:
        nvml: the library; None: there is none.
        visible: numbers or UUIDs of the GPUs, by commas, as in `CUDA_VISIBLE_DEVICES`; None: all.
    """
    if nvml is None:
        return None
    try:
        devices = _devices(nvml)
        wanted = list(devices) if visible is None else [one.strip() for one in visible.split(",")]
        found: dict[str, int] = {}
        for uuid, (number, device) in devices.items():
            if uuid not in wanted and str(number) not in wanted:
                continue
            energy_mj = ctypes.c_ulonglong()
            if nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy_mj)):
                return None
            found[uuid] = energy_mj.value
    except AttributeError:  # a library older than the counters
        return None
    return found if found and len(found) == len(set(wanted)) else None


def visible_gpus(numbers: list[int]) -> str | None:
    """Return which GPUs a child sees that may use these; none given: those of this process."""
    return ",".join(map(str, numbers)) or os.environ.get("CUDA_VISIBLE_DEVICES")


def _devices(nvml: Any) -> dict[str, tuple[int, Any]]:
    """Return number and handle of each GPU by its UUID."""
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return {}
    found: dict[str, tuple[int, Any]] = {}
    for number in range(count.value):
        device, uuid = ctypes.c_void_p(), ctypes.create_string_buffer(_UUID_BYTES)
        if nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)):
            continue
        if not nvml.nvmlDeviceGetUUID(device, uuid, _UUID_BYTES):
            found[uuid.value.decode()] = number, device
    return found
