import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autotune.errors import ModelError, UsageError
from autotune.models import sample_inputs
from autotune.models.sample_inputs import make_samples, read_arrays
from autotune.records import InputInfo
from autotune.spec import ModelSpec


def member(shape: str, descr: str = "<f4", data: bytes = b"\0" * 16) -> bytes:
    """An .npy file whose header says anything."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        member("(10000000000000,)"),
        member("(-1,)"),
        member("(4,)", "|O"),
        member("(4,) + (1,)"),
        member("(" * 90 + "4" + ")" * 90),
        member("(4,)", data=b"\0"),
        b"\x93NUMPY\x03\x00\xff\xff\xff\xff",
        b"",
    ],
    ids=["10 TB", "negative", "objects", "code", "nested", "short", "header", "empty"],
)
def test_arrays_that_lie_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = archive(tmp_path / "a.npz", {"x.npy": data, "y.npy": member("(4,)")})
    with pytest.raises(UsageError, match=r"is not a readable \.npz file of plain arrays"):
        read_arrays(path, "--input")


def test_what_unpacks_to_more_than_there_is_memory_for_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_inputs, "available_memory_bytes", lambda: 1_000_000)
    zeros = member("(500000,)", data=b"\0" * 2_000_000)
    path = archive(tmp_path / "a.npz", {"x.npy": zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    with pytest.raises(UsageError, match=r"holds 0.002 GB, for which there is no memory"):
        read_arrays(path, "--input")


def test_names_lead_nowhere(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"../../x.npy": member("(4,)")})
    assert list(read_arrays(path, "--input")) == ["../../x"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


def test_a_single_array_is_told_apart_from_what_is_none(tmp_path: Path) -> None:
    path, file = tmp_path / "a.npy", io.BytesIO()
    np.save(file, np.ones(3))
    path.write_bytes(file.getvalue())
    with pytest.raises(UsageError, match="holds a single array"):
        read_arrays(path, "--input")
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(UsageError, match=r"is not a readable \.npz file"):
        read_arrays(path, "--input")


def test_a_request_larger_than_memory_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = [InputInfo(name="x", dtype="tensor(float)", shape=[2**40, 2**40])]
    with pytest.raises(ModelError, match=r"^input 'x' of 1099511627776x1099511627776 is too large"):
        make_samples(wide, ModelSpec(path="any"))
    monkeypatch.setattr(sample_inputs, "available_memory_bytes", lambda: None)
    with pytest.raises(ModelError, match="is too large"):
        make_samples(wide, ModelSpec(path="any"))
    with pytest.raises(ModelError, match="takes no input"):
        make_samples([], ModelSpec(path="any"))
