"""MODEL.fleet.json: what was found on each machine type of a cluster. Reading it needs no Ray.

Each type holds a whole tuned file (`autotune.config_file`), of whatever version it was written
with; all that reads one takes it from here by the type's name.

Format history:
    1   first version
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from autotune import config_file
from autotune.bounded_file import read_bytes
from autotune.config_file import Status, TunedFile
from autotune.errors import ConfigFileError, UsageError, did_you_mean, did_you_mean_file
from autotune.file_head import MOST_HELD_BYTES, format_of
from autotune.spec import Objective, Record, Slo
from autotune.tabular import printable

FORMAT = "autotune-fleet"
SUFFIX = ".fleet.json"
SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).parent / "schema" / "autotune-fleet-v1.schema.json"

INTERRUPTED = "interrupted"
"""How the reason begins where a person ended the search."""

FleetStatus = Status | Literal["missing"]


class MachineResult(Record, frozen=True):
    """What was found on one machine type."""

    type: Annotated[str, msgspec.Meta(min_length=1)]
    nodes: Annotated[int, msgspec.Meta(ge=0)]
    """Of this type, in the cluster when the search began."""
    status: FleetStatus
    """That of the tuned file; `missing`: there is none."""
    reason: str | None
    """Why it is missing; None: it is not."""
    disturbed: str | None
    """What spoilt most of its measurements; None: nothing did."""
    notes: list[str]
    """What happened on the way, such as nodes that died; a sentence each."""
    tuned: TunedFile | None
    """None: missing."""


class FleetFile(Record, frozen=True):
    """The whole file."""

    format: Literal["autotune-fleet"]
    schema_version: Literal[1]
    summary: str
    model: str
    """As the person named it."""
    model_sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    slo: Slo
    arrivals: str
    """How requests arrived, in words."""
    objective: Objective
    autotune: str
    """Version of autotune that wrote the file."""
    started_at: str
    """UTC, ISO 8601."""
    seconds: float
    """Wall time, all machine types together."""
    machines: Annotated[list[MachineResult], msgspec.Meta(min_length=1)]
    """Ascending by type."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the current version."""
    schema = msgspec.json.schema(FleetFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class _Head(msgspec.Struct):
    """What says what a file is."""

    format: Any = None
    schema_version: Any = None


class _Entry(msgspec.Struct):
    """A machine type whose tuned file is yet to be read."""

    tuned: msgspec.Raw


class _Entries(msgspec.Struct):
    machines: list[_Entry]


def is_fleet_file(path: Path) -> bool:
    """Whether a file says of itself that it is a fleet's; False where it cannot be read."""
    return bool(format_of(path) == FORMAT)


def read(path: Path) -> FleetFile:
    """Read a fleet's file.

    Raises:
        ConfigFileError: unreadable, too large, no fleet's file, of another version, or with a field
            that is missing, unknown, of the wrong type or at odds with another.
    """
    try:
        data = read_bytes(path, MOST_HELD_BYTES)
    except OSError as error:
        hint = did_you_mean_file(path, (".json",)) if isinstance(error, FileNotFoundError) else ""
        raise ConfigFileError(f"{path}: cannot be read: {error.strerror}{hint}") from None
    return parse(data, path)


def parse(data: bytes, path: Path) -> FleetFile:
    """Return what the text of a fleet's file says, that was read at `path`.

    Raises:
        ConfigFileError: as `read`.
    """
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format != FORMAT:
            raise ConfigFileError(f"{path}: is no fleet's file; `autotune fleet search` writes one")
        if head.schema_version != SCHEMA_VERSION or isinstance(head.schema_version, bool):
            raise ConfigFileError(
                f"{path}: is of a version that this autotune does not read (it reads "
                f"{SCHEMA_VERSION}): upgrade autotune, or search again"
            )
        raw = [one.tuned for one in msgspec.json.decode(data, type=_Entries).machines]
        plain = msgspec.json.decode(data)
        for entry in plain["machines"]:
            entry["tuned"] = None
        empty = msgspec.convert(plain, FleetFile)
    except msgspec.ValidationError as error:
        raise ConfigFileError(f"{path}: {printable(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigFileError(f"{path}: is not JSON: {error}") from None
    tuned = [None if bytes(one) == b"null" else config_file.parse(bytes(one), path) for one in raw]
    filled = [
        msgspec.structs.replace(machine, tuned=one)
        for machine, one in zip(empty.machines, tuned, strict=True)
    ]
    found = msgspec.structs.replace(empty, machines=filled)
    if problem := _at_odds(found):
        raise ConfigFileError(f"{path}: {problem}")
    return found


def _at_odds(fleet: FleetFile) -> str:
    """Return what contradicts itself; empty: nothing."""
    names = [one.type for one in fleet.machines]
    if names != sorted(set(names)):
        return "its machine types are not ascending, each once"
    for one in fleet.machines:
        name = printable(one.type)
        status = "missing" if one.tuned is None else one.tuned.status
        if one.status != status:
            return f"{name} is said to be {one.status}, and is {status}"
        if (one.reason is None) != (one.tuned is not None):
            return f"{name}: a reason stands where nothing is missing, or none where it is"
        if one.tuned is not None and one.tuned.model.sha256 != fleet.model_sha256:
            return f"{name} was tuned for another model"
    return ""


def to_json(fleet: FleetFile) -> str:
    """Return the file's text."""
    return config_file.to_json(fleet)


def write(path: Path, fleet: FleetFile) -> None:
    """Write the file whole or not at all.

    Raises:
        UsageError: the place cannot be written.
    """
    config_file.write_other(path, fleet)


def check_writable(path: Path) -> None:
    """Find out before measuring whether `write` can succeed, without touching an existing file.

    Raises:
        UsageError: a folder is missing or refuses, or the path holds something else.
    """
    if path.name.endswith(".autotune.json"):
        raise UsageError(f"-o {path}: is named like a tuned file: call it MODEL{SUFFIX}")
    config_file.check_place(path, FORMAT, "fleet's file")


def tuned_for(fleet: FleetFile, machine: str, path: Path, option: str) -> TunedFile:
    """Return the tuned file of one machine type.

    Raises:
        UsageError: there is no such type, or nothing was found on it.
    """
    types = {one.type: one for one in fleet.machines}
    if machine not in types:
        known = ", ".join(printable(name) for name in types)
        hint = did_you_mean(machine, types) or f": it has {known}"
        raise UsageError(f"{option} {machine}: {path} has no such machine type{hint}")
    tuned = types[machine].tuned
    if tuned is None:
        raise UsageError(
            f"{option} {machine}: is missing in {path}: {printable(types[machine].reason or '')}"
        )
    return tuned


def exit_code(fleet: FleetFile) -> int:
    """Return what `autotune fleet search` exits with.

    0: every machine type answered; 1: the SLO is not met at every load of one; 4: one is missing;
    130: one was interrupted.
    """
    if any(one.reason is not None and one.reason.startswith(INTERRUPTED) for one in fleet.machines):
        return 130
    statuses = {one.status for one in fleet.machines}
    return 4 if "missing" in statuses else 1 if "slo_not_met" in statuses else 0
