"""Profile a model several times, as a search does, and keep the corners beside its table.

python -m search.profiles MODEL TABLE.csv --times 5
"""

import argparse
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from autotune import model_file
from autotune.predict.rest import Paced
from autotune.predict.service_law import Corner
from autotune.probes.cores import usable_cores
from autotune.space.axes import MAX_BATCH_SIZE
from autotune.spec import Family, ModelSpec, Record, Slo
from autotune.stages.context import Context
from autotune.stages.journal import Journal
from autotune.stages.profile import Subject, profile
from autotune.stages.question import Deadline, Question
from autotune.trial.bench import Bench
from autotune.units import parse_shapes


class Profile(Record, frozen=True):
    """What one profile measured."""

    seconds: float
    """That it took, starting its process included."""
    corners: list[Corner]
    paced: list[Paced]


def read_profiles(table: Path) -> list[Profile]:
    """Return the profiles recorded beside a table."""

    def to_array(kind: type, value: Any) -> Any:
        return np.array(value, dtype=float)

    data = table.with_suffix(".profiles.json").read_bytes()
    return msgspec.json.decode(data, type=list[Profile], dec_hook=to_array)


def main() -> None:
    """Record the profiles of one model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("table", type=Path)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--shape", action="append", default=[], help="input=1x3x48x192")
    given = parser.parse_args()
    shapes = parse_shapes(given.shape, "--shape")
    spec = ModelSpec(path=str(model_file.locate(given.model)), shapes=shapes)
    profiles = []
    for _ in range(given.times):
        with Bench(spec) as bench:
            info = bench.inspect()
            started_s = time.monotonic()
            subject = Subject(_context(spec, bench), info, usable_cores().usable, None)
            _, corners, paced = profile(subject, Family(), MAX_BATCH_SIZE)
            seconds = time.monotonic() - started_s
            profiles.append(Profile(seconds=seconds, corners=corners, paced=paced))
            print(f"{seconds:.2f} s, {len(corners)} and {len(paced)} corners", flush=True)
    data = msgspec.json.encode(profiles, enc_hook=lambda array: array.round(7).tolist())
    given.table.with_suffix(".profiles.json").write_bytes(data + b"\n")


def _context(spec: ModelSpec, bench: Bench) -> Context:
    question = Question(
        model=spec,
        name=spec.path,
        slo=Slo(latency_ms=50),
        traffics=None,
        budget_s=None,
        max_trials=None,
        seed=0,
        output=Path("unused"),
    )
    return Context(
        question, bench, Journal(question.slo, Deadline(60.0)), Deadline(60), lambda event: None
    )


if __name__ == "__main__":
    main()
