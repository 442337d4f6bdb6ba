"""Tests do not wait for this machine to be probed: what is known of it is made up, and written."""

from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from autotune.probes.machine import this_machine
from autotune.stages.traits import VERSION, Kept, KeptFile
from autotune.traits import MachineTraits

TRAITS = MachineTraits(
    cores=2,
    core_gflops=60.0,
    all_gflops=110.0,
    core_gbps=10.0,
    all_gbps=15.0,
    wake_us=60.0,
    l2_bytes=1 << 20,
    l3_bytes=32 << 20,
    clock_ghz=3.0,
)


def keep_machine(data_folder: Path) -> None:
    """Write into the folder of a user's data, XDG_DATA_HOME, what is known of this machine."""
    folder = data_folder / "autotune"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "machine.json").write_bytes(_known())


@cache
def _known() -> bytes:
    kept = Kept(machine=this_machine(), numpy=np.__version__, traits=TRAITS)
    return msgspec.json.encode(KeptFile(schema_version=VERSION, machines=[kept]))
