"""Mutated models, each loaded and run in a child process as `autotune search` does first."""

import random
import resource
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from autotune.outcome import ModelInfo
from autotune.probes.files import read_table
from autotune.records import Failed
from autotune.spec import ModelSpec
from autotune.trial import wire
from autotune.trial.spawn import Child
from fuzz import corpus
from fuzz.mutate import of_bytes, of_protobuf
from fuzz.tally import Tally, Try, end_of_line

LIMIT_S = 20.0
"""For one model."""
GRACE_S = 5.0
"""Until a child that is killed is gone, on a machine that has others to serve."""
LIMIT_BYTES = 2 << 30
"""Of memory, for a child."""
MOST_OF_ONE = 500
"""Models that one process is given, so that what leaks does not add up."""


def seeds() -> list[bytes]:
    """Return the corpus, with the model of magika where that is installed."""
    found = corpus.models()
    spec = find_spec("magika")
    if spec is not None and spec.origin is not None:
        installed = sorted(Path(spec.origin).parent.rglob("*.onnx"))
        found += [path.read_bytes() for path in installed[:1]]
    return found


def mutated(base: Sequence[bytes], rng: random.Random) -> bytes:
    """Return one model, changed by its fields or by its bytes."""
    mutate = of_protobuf if rng.random() < 0.7 else of_bytes
    small = [one for one in base if len(one) < 20_000]
    return mutate(rng.choice(base if rng.random() < 0.05 else small), small, rng)


def run(tries: int, seed: int, keep: Path | None) -> Tally:
    """Try so many models."""
    tally, base = Tally("ONNX models", keep), seeds()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autotune-fuzz-") as folder:
        place = Path(folder)
        corpus.write_external(place)
        with Children(place) as children:
            for number in range(tries):
                data = mutated(base, random.Random(f"{seed}:{number}"))
                tally.add(children.inspect(data), data)
    tally.seconds = time.monotonic() - started_s
    return tally


class Children:
    """Child processes, one after the other, each given one model after the other."""

    def __init__(self, folder: Path) -> None:
        """Write models into a folder, where the files lie that they name."""
        self._folder = folder
        self._child: Child | None = None
        self._asked = 0

    def __enter__(self) -> "Children":
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self._child is not None:
            self._child.close()

    def inspect(self, data: bytes, shapes: dict[str, list[int]] | None = None) -> Try:
        """Return what comes of inspecting a model of these bytes."""
        path = self._folder / "model.onnx"
        path.write_bytes(data)
        child = self._ready()
        spec = ModelSpec(path=str(path), shapes=shapes or {})
        started_s = time.monotonic()
        reply = child.ask(wire.Inspect(model=spec, outputs_folder=str(self._folder)), LIMIT_S)
        if time.monotonic() - started_s > LIMIT_S + GRACE_S:
            return Try("over_time", f"{reply}"[:300])
        if (peak := read_table(Path(f"/proc/{child.pid}/status")).get("VmHWM", 0)) << 10 > (
            LIMIT_BYTES + (1 << 29)
        ):
            return Try("over_memory", f"{peak} KiB")
        return of_reply(reply)

    def _ready(self) -> Child:
        if self._child is not None and self._asked >= MOST_OF_ONE:
            self._child.close()
        if self._child is None or not self._child.alive or self._asked >= MOST_OF_ONE:
            if self._child is not None:
                self._child.close()
            self._child, self._asked = Child(), 0
            resource.prlimit(self._child.pid, resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
        self._asked += 1
        return self._child


def of_reply(reply: wire.Reply) -> Try:
    """Return how it ended, by what the child said or what became of it."""
    match reply:
        case ModelInfo(batch_reason=reason, outputs_reason=why):
            texts = map(end_of_line, (reason, why))
            return next((one for one in texts if one.end == "unclear"), Try("well"))
        case wire.Refused(message=message):
            return end_of_line(message)
        case Failed(kind=kind, detail=detail):
            told = end_of_line(f"model.onnx: cannot be run: {detail}")
            died = kind in ("crash", "timeout") or "was killed" in detail
            return Try("died", told.line) if died and told.end == "refused" else told
    return Try("unclear", f"{reply}"[:300])
