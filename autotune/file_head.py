"""What a file of autotune says of itself, and the tuned files that one for several holds."""

from pathlib import Path
from typing import Any

import msgspec

from autotune.bounded_file import read_bytes
from autotune.errors import ConfigFileError
from autotune.tabular import printable

MOST_HELD_BYTES = 1_000_000_000
"""Of a file that holds some hundred tuned files."""


class _MachineType(msgspec.Struct):
    type: str
    tuned: msgspec.Raw


class Head(msgspec.Struct):
    """What says what a file is; the rest is passed over."""

    format: Any = None
    schema_version: Any = None
    members: dict[str, msgspec.Raw] = {}
    machines: list[_MachineType] = []

    @property
    def named(self) -> dict[str, msgspec.Raw]:
        """Tuned files that a file for several models, or machine types, holds, by name."""
        return self.members | {one.type: one.tuned for one in self.machines}


def head_of(data: bytes, path: Path) -> Head:
    """Return what a file says of itself, that was read at `path`.

    Raises:
        ConfigFileError: it is not JSON.
    """
    try:
        return msgspec.json.decode(data, type=Head)
    except msgspec.ValidationError:
        return Head()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigFileError(f"{path}: is not JSON: {error}") from None


def format_of(path: Path) -> Any:
    """Return of which format a file says that it is; None where it cannot be read."""
    try:
        return head_of(read_bytes(path, MOST_HELD_BYTES), path).format
    except (OSError, ConfigFileError):
        return None


def held(path: Path) -> bytes:
    """Return the text of `FILE#NAME`.

    Raises:
        ConfigFileError: there is no such file, or nothing of that name in it.
    """
    whole, _, name = str(path).rpartition("#")
    try:
        named = head_of(read_bytes(Path(whole), MOST_HELD_BYTES), Path(whole)).named
    except OSError as error:
        raise ConfigFileError(f"{whole}: cannot be read: {error.strerror}") from None
    if name not in named:
        known = f"it holds {', '.join(named)}" if named else "it holds no others"
        raise ConfigFileError(f"{path}: there is no {name!r} in {whole}: {printable(known)}")
    if bytes(named[name]) == b"null":
        raise ConfigFileError(f"{path}: nothing was found for it: see autotune show {whole}")
    return bytes(named[name])
