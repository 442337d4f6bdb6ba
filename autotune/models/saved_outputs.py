"""The default session's outputs on disk: one file per sample, loaded when it is compared."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autotune.engine.source import Tensors

_PREFIX = "output:"
"""Keeps an output's name apart from the parameters of `np.savez`."""


def save_outputs(folder: Path, outputs: Sequence[Tensors]) -> None:
    """Write the outputs of each sample, as `output_check.checkable` returns them (no pickle)."""
    for index, arrays in enumerate(outputs):
        named = {_PREFIX + name: array for name, array in arrays.items()}
        np.savez(_file(folder, index), **named)  # type: ignore[arg-type]  # names are no flags


class SavedOutputs:
    """The outputs in a folder that `save_outputs` wrote; nothing is kept in memory."""

    def __init__(self, folder: Path, samples: Sequence[int] | None = None) -> None:
        """Read from `folder` the outputs of these samples; None: of all."""
        self._folder = folder
        self._samples = range(len(list(folder.glob("*.npz")))) if samples is None else samples

    def only(self, samples: Sequence[int]) -> "SavedOutputs":
        """Return those of some samples."""
        return SavedOutputs(self._folder, samples)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    def __getitem__(self, index: int, /) -> Tensors:
        """Load the outputs for one sample.

        Raises:
            IndexError: they were not saved.
        """
        file = _file(self._folder, self._samples[index])
        with np.load(file, allow_pickle=False) as archive:
            return {name.removeprefix(_PREFIX): archive[name] for name in archive.files}


def _file(folder: Path, index: int) -> Path:
    return folder / f"{index}.npz"
