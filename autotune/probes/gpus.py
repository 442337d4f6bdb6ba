"""Which GPUs there are, as NVIDIA's own tool names them: whole ones, MIG slices, shared by MPS."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

_TIMEOUT_S = 10.0
_GPU = re.compile(r"GPU (?P<index>\d+): (?P<name>.+?) \(UUID: (?P<uuid>[^)]+)\)")
_SLICE = re.compile(r"\s+(?P<name>MIG \S+)\s+Device\s+\d+: \(UUID: (?P<uuid>[^)]+)\)")


def gpu_names(
    environment: Mapping[str, str] = os.environ, mps: Path = Path("/tmp/nvidia-mps/control")
) -> list[str]:
    """Return the names of the GPUs that a process may use; none where there is no driver.

    Args:
        environment: `CUDA_VISIBLE_DEVICES` says which, `CUDA_MPS_PIPE_DIRECTORY` that a server of
            NVIDIA's Multi-Process Service shares them out.
        mps: where that server has its pipe if nobody says otherwise.
    """
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    shared = "CUDA_MPS_PIPE_DIRECTORY" in environment or mps.exists()
    names = names_in(listed.stdout, environment.get("CUDA_VISIBLE_DEVICES"))
    return [f"{name}, shared by MPS" for name in names] if shared else names


def names_in(listing: str, visible: str | None) -> list[str]:
    """Return the names in what `nvidia-smi -L` printed.

    A GPU that is cut into slices stands for these.

    Args:
        listing: a line for each GPU, below it an indented one for each of its MIG slices.
        visible: numbers or UUIDs of those that may be used, by commas; None: all.
    """
    found: list[tuple[tuple[str, str], str]] = []
    whole: dict[str, str] = {}
    for line in listing.splitlines():
        if gpu := _GPU.match(line):
            whole = gpu.groupdict()
            found.append(((whole["index"], whole["uuid"]), whole["name"]))
        elif (part := _SLICE.match(line)) and whole:
            if found and found[-1][0][1] == whole["uuid"]:
                found.pop()
            found.append(((part["uuid"], part["uuid"]), f"{whole['name']} {part['name']}"))
    if visible is None:
        return [name for _, name in found]
    wanted = [one.strip() for one in visible.split(",")]
    return [name for one in wanted for keys, name in found if one in keys]
