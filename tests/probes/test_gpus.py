from pathlib import Path

import pytest

from autotune.probes import gpus
from autotune.probes.gpus import gpu_names, names_in

TWO = "GPU 0: NVIDIA H200 (UUID: GPU-aa)\nGPU 1: NVIDIA L4 (UUID: GPU-bb)\n"
SLICED = (
    "GPU 0: NVIDIA H200 (UUID: GPU-aa)\n"
    "  MIG 1g.18gb     Device  0: (UUID: MIG-11)\n"
    "  MIG 3g.71gb     Device  1: (UUID: MIG-22)\n"
    "GPU 1: NVIDIA L4 (UUID: GPU-bb)\n"
)


@pytest.mark.parametrize(
    ("listing", "visible", "names"),
    [
        (TWO, None, ["NVIDIA H200", "NVIDIA L4"]),
        (TWO, "1,0", ["NVIDIA L4", "NVIDIA H200"]),
        (TWO, "GPU-bb", ["NVIDIA L4"]),
        (TWO, "", []),
        (TWO, "-1", []),
        (SLICED, None, ["NVIDIA H200 MIG 1g.18gb", "NVIDIA H200 MIG 3g.71gb", "NVIDIA L4"]),
        (SLICED, "MIG-22", ["NVIDIA H200 MIG 3g.71gb"]),
        ("No devices found.\n", None, []),
        ("", None, []),
    ],
)
def test_gpus_and_their_slices_are_named(
    listing: str, visible: str | None, names: list[str]
) -> None:
    assert names_in(listing, visible) == names


def test_a_service_that_shares_them_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{TWO}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    pipe = tmp_path / "control"
    assert gpu_names({}, pipe) == ["NVIDIA H200", "NVIDIA L4"]
    assert gpu_names({"CUDA_MPS_PIPE_DIRECTORY": "/x"}, pipe)[0] == "NVIDIA H200, shared by MPS"
    pipe.touch()
    assert gpu_names({"CUDA_VISIBLE_DEVICES": "1"}, pipe) == ["NVIDIA L4, shared by MPS"]


def test_without_a_driver_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.gpu_names({}, tmp_path / "none") == []
