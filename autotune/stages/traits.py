"""What this machine is like: probed once, and kept beside the store."""

from pathlib import Path

import msgspec
import numpy as np

from autotune.bounded_file import read_bytes
from autotune.probes.machine import Machine, this_machine
from autotune.probes.speed import probe
from autotune.spec import Record
from autotune.stages.events import Observer, Said, Started
from autotune.store.database import default_path
from autotune.traits import MachineTraits
from autotune.whole_file import write_whole

VERSION = 1
"""Of the file."""
_MOST_KEPT = 16
"""Machines, where several share a home, and cores that one is allowed at times."""
_MOST_BYTES = 1_000_000


class Kept(Record, frozen=True):
    """What was found out about one machine."""

    machine: Machine
    numpy: str
    """The version that computed, whose mathematical library comes with it."""
    traits: MachineTraits


class KeptFile(Record, frozen=True):
    """The whole file, the latest machine first."""

    schema_version: int
    machines: list[Kept]


class _Version(msgspec.Struct):
    schema_version: int = 0


def kept_path() -> Path:
    """Return where the file is: in the user's data folder, beside the store."""
    return default_path().with_name("machine.json")


def kept_traits(path: Path | None = None) -> MachineTraits | None:
    """Return what is known of this machine; None: it was not probed, or that cannot be read."""
    try:
        return _of_this_machine(_read(path or kept_path()))
    except (OSError, msgspec.MsgspecError, _NewerError):
        return None


def machine_traits(observe: Observer, path: Path | None = None) -> MachineTraits:
    """Return what this machine is like; probe it for some seconds where that is not known yet.

    It is probed anew for another processor, number of cores, kernel or version of numpy. What
    cannot be kept or read is said, and the probe made. Nothing else should run meanwhile.

    Raises:
        MeasureError: the probe fails.
    """
    path = path or kept_path()
    others: list[Kept] = []
    warning = None
    try:
        others = _read(path)
    except FileNotFoundError:
        pass
    except _NewerError:
        warning = "is a newer autotune's"
    except (OSError, msgspec.MsgspecError):
        warning = "cannot be read"
    if (known := _of_this_machine(others)) is not None:
        return known
    observe(Started(step="probing the machine (once)"))
    traits = probe()
    kept = Kept(machine=this_machine(), numpy=np.__version__, traits=traits)
    try:
        write(path, [kept, *others])
    except OSError as error:
        warning = f"cannot be kept: {error.strerror}"
    if warning is not None:
        text = f"the machine was probed: what is known of it, {path}, {warning}"
        observe(Said(text=text, warning=True))
    return traits


def write(path: Path, machines: list[Kept]) -> None:
    """Keep what was found out about machines, the latest first.

    Raises:
        OSError: the place cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = KeptFile(schema_version=VERSION, machines=machines[:_MOST_KEPT])
    write_whole(path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")


class _NewerError(Exception):
    """The file is of a version that is not known here."""


def _read(path: Path) -> list[Kept]:
    data = read_bytes(path, _MOST_BYTES)
    if msgspec.json.decode(data, type=_Version).schema_version > VERSION:
        raise _NewerError
    return msgspec.json.decode(data, type=KeptFile).machines


def _of_this_machine(machines: list[Kept]) -> MachineTraits | None:
    now = this_machine(), np.__version__
    return next((one.traits for one in machines if (one.machine, one.numpy) == now), None)
