"""One request's arrays, given in Python: in a file for as long as they are needed."""

import hashlib
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autotune.errors import AutotuneError, UsageError
from autotune.spec import RequestKind

_DIGITS = 12
"""Of the SHA-256 of the arrays, that tell one request from another in a tuned file."""


@contextmanager
def arrays_in_a_file(
    given: Mapping[str, npt.ArrayLike],
) -> Iterator[tuple[Path, RequestKind]]:
    """Yield an .npz file of the arrays, and the kind of request that it holds.

    Raises:
        UsageError: what is given for an input is no array of numbers or texts.
    """
    arrays = {name: _as_array(name, one) for name, one in given.items()}
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    label = f"arrays given in Python (sha256 {digest.hexdigest()[:_DIGITS]})"
    with tempfile.TemporaryDirectory(prefix="autotune-") as folder:
        file = Path(folder) / "arrays.npz"
        # np.savez takes names as arguments, of which `file` is one.
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        try:
            kind = RequestKind(weight=1.0, input_file=str(file), origin="input", label=label)
            yield file, kind
        except AutotuneError as error:  # where they lie is nobody's business
            error.args = (str(error).replace(f"input {file}", "input"),)
            raise


def _as_array(name: str, one: npt.ArrayLike) -> npt.NDArray[np.generic]:
    try:
        array = np.ascontiguousarray(one) if np.ndim(one) else np.asarray(one)
    except ValueError as error:
        raise UsageError(f"input[{name!r}] is not an array: {error}") from None
    if array.dtype.kind == "O":
        if not all(isinstance(item, str) for item in array.flat):
            raise UsageError(f"input[{name!r}] holds {array.dtype}: give numbers or texts")
        return array.astype(np.str_)
    return array
