"""together.autotune.json: read and written whole. Reading it executes nothing.

Format history:
    1   first version
    2   how far loads that cannot be met must be scaled down: measured, and how all run there

Version 1 is read: its scale is predicted.
"""

from pathlib import Path
from typing import Any

import msgspec

from autotune import config_file
from autotune.bounded_file import read_bytes
from autotune.errors import ConfigFileError
from autotune.file_head import MOST_HELD_BYTES
from autotune.tabular import printable
from autotune.together.records import TogetherFile

FORMAT = "autotune-together"


class _Members(msgspec.Struct):
    members: dict[str, msgspec.Raw]


def read(path: Path) -> TogetherFile:
    """Read a file for several models; their tuned files may be of any version.

    Raises:
        ConfigFileError: unreadable, none of these, or with a field that is missing, unknown, of the
            wrong type or at odds with another; the field is named.
    """
    try:
        return parse(read_bytes(path, MOST_HELD_BYTES), path)
    except OSError as error:
        raise ConfigFileError(f"{path}: cannot be read: {error.strerror}") from None


def parse(data: bytes, path: Path) -> TogetherFile:
    """Return what was read at `path`.

    Raises:
        ConfigFileError: as `read`.
    """
    try:
        raw = msgspec.json.decode(data, type=_Members).members
        plain = msgspec.json.decode(data) | {"members": {}}
        empty = msgspec.convert(_upgraded(plain), TogetherFile)
    except msgspec.ValidationError as error:
        raise ConfigFileError(f"{path}: {printable(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise ConfigFileError(f"{path}: is not JSON: {error}") from None
    members = {
        name: config_file.parse(bytes(one), Path(f"{path}#{name}")) for name, one in raw.items()
    }
    found = msgspec.structs.replace(empty, members=members)
    names = [step for one in found.services for step in one.steps]
    placed = [one.placed for one in found.contenders] + [found.recommended]
    served = [one.served for one in found.contenders]
    if (scale := found.largest_scale) is not None:
        placed += [scale.placed] if scale.placed else []
        served += [scale.served] if scale.evidence == "measured" else []
    asked = [one.name for one in found.services]
    models = [[each.model for each in one] for one in placed]
    if any(one != names for one in [*models, [*found.members]]):
        raise ConfigFileError(f"{path}: the models of its parts are not those of its services")
    if any([one.service for one in each] != asked for each in served):
        raise ConfigFileError(f"{path}: what was served is not what was asked for")
    return found


def _upgraded(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a file of any version as the current one has it."""
    version, scale = plain.get("schema_version"), plain.get("largest_scale")
    if type(version) is not int or version != 1:  # True is an int, too
        return plain
    if scale is not None:
        known = {"evidence": "predicted", "missed": 1.0, "placed": [], "served": []}
        scale = {"share": scale, **known}
    return {**plain, "schema_version": 2, "largest_scale": scale}


def check_writable(path: Path) -> None:
    """As `config_file.check_writable`, for a file for several models."""
    config_file.check_place(path, FORMAT, "file for several models")


def write(path: Path, found: TogetherFile) -> None:
    """Write the file whole or not at all.

    Raises:
        UsageError: the place cannot be written.
    """
    config_file.write_other(path, found)
