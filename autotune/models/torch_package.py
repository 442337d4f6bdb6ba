"""What a package of AOTInductor says about itself, beside its machine code.

It checks nothing that it is passed and would read beyond a tensor's end. The source that lies in it
holds the checks which `AOTI_RUNTIME_CHECK_INPUTS` turns on; they are read here for what they want.
(Turned on, they would refuse a single row, which the code computes well.)
"""

import re
import zipfile
from typing import Any, NamedTuple

import msgspec

from autotune.errors import ModelError

_CHECK = re.compile(r"static void check_input_(\d+)\(.*?(?=static void check_input_|\n\}\n)", re.S)
_DTYPE = re.compile(r"_expected_dtype = aoti_torch_dtype_(\w+)\(\)")
_SIZE = re.compile(r"if \((\d+) != \w+_size\[(\d+)\]\)")
_ANY_AXIS = re.compile(r"_(?:size|stride)\[(\d+)\]")


class Wanted(NamedTuple):
    """What one input must be."""

    dtype: str
    """By torch's name, such as `float32`."""
    shape: list[int | None]
    """None: open."""


def device_of_package(path: str) -> str:
    """Return for which kind of device a package was compiled: `cpu`, `cuda`.

    Raises:
        ModelError: it does not say.
    """
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("_metadata.json"):
                metadata = msgspec.json.decode(archive.read(name), type=dict[str, Any])
                if device := metadata.get("AOTI_DEVICE_KEY"):
                    return str(device)
    raise ModelError("the package does not say for which device it was compiled")


def wanted_by_package(path: str) -> list[Wanted] | None:
    """Return what the inputs must be, in order; None where the package holds no source."""
    with zipfile.ZipFile(path) as archive:
        sources = [name for name in archive.namelist() if name.endswith(".wrapper.cpp")]
        if len(sources) != 1:
            return None
        text = archive.read(sources[0]).decode(errors="replace")
    checks = {int(found[1]): found[0] for found in _CHECK.finditer(text)}
    wanted = [_wanted(checks[number]) for number in sorted(checks)]
    return [one for one in wanted if one is not None] if wanted and None not in wanted else None


def _wanted(check: str) -> Wanted | None:
    dtype = _DTYPE.search(check)
    if dtype is None:
        return None
    rank = max((int(axis) + 1 for axis in _ANY_AXIS.findall(check)), default=0)
    fixed = {int(axis): int(size) for size, axis in _SIZE.findall(check)}
    return Wanted(dtype[1], [fixed.get(axis) for axis in range(rank)])
