"""The requests that a server is sent, and the answers that it should give."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autotune.models.output_check import how_outputs_differ
from autotune.models.saved_outputs import SavedOutputs
from autotune.outcome import ModelInfo
from autotune.servers.v2 import Arrays
from autotune.spec import ModelSpec
from autotune.trial.bench import Bench


class Samples(NamedTuple):
    """Requests to a model, and what ONNX Runtime's default answers to each alone."""

    info: ModelInfo
    requests: list[Arrays]
    expected: list[Arrays]
    """Empty where the model's answers cannot be compared: see `ModelInfo.outputs_reason`."""


def take_samples(model: ModelSpec) -> Samples:
    """Load and run the model in a process of its own.

    Raises:
        ModelError, UsageError: the model or its inputs cannot be used.
    """
    with Bench(model) as bench:
        return samples_of(bench)


def samples_of(bench: Bench) -> Samples:
    """Likewise, by a bench.

    Raises:
        ModelError, UsageError: the model or its inputs cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="autotune-") as folder:
        info = bench.inspect(folder)
        expected = _load(bench.outputs_folder) if bench.outputs_folder is not None else []
        return Samples(info, _load(folder), expected)


def how_answers_differ(answers: Sequence[Arrays], samples: Samples) -> str | None:
    """Say in a clause how a server's answers, one per request, are not the expected ones."""
    for got, expected in zip(answers, samples.expected, strict=True):
        if (how := how_outputs_differ(got, expected)) is not None:
            return how
    return None


def _load(folder: str) -> list[Arrays]:
    saved = SavedOutputs(Path(folder))
    return [saved[index] for index in range(len(saved))]
