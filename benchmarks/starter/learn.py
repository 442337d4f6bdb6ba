"""The starter: what comes with the package for a first search to learn from.

    python benchmarks/starter/learn.py autotune/learn/starter-1.json.gz --seconds 30

searches all the generated architectures here, blank, and writes what they teach. The store that
it measures into is kept (`--store`), so that a run that was ended goes on where it stopped.
"""

import argparse
import gzip
import math
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec

import autotune
from autotune.config_file import TunedFile
from autotune.lesson import Lesson, Starter

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from starter.architectures import ARCHITECTURES, Architecture, look_at

STARTER_VERSION = 1
SLO_RUNS = 8.0
"""The SLO, in runs of one request on one core: none so tight or so loose that it decides all."""
LEAST_SLO_MS = 4.0
DIGITS = 4
RECIPE = "python benchmarks/starter/learn.py autotune/learn/starter-1.json.gz --seconds {seconds:g}"


def main() -> None:
    """Search each architecture, and write what they teach."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0, help="budget of a search")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    lessons = []
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or Path(folder) / "store.sqlite"
        for one in ARCHITECTURES:
            tuned = _searched(one, Path(folder), store, given.seconds)
            assert tuned.lesson is not None
            lessons.append(rounded(tuned.lesson))
            print(f"{one.name}: {len(tuned.trials)} measurements", flush=True)
    starter = Starter(
        version=STARTER_VERSION,
        made_by=version("autotune"),
        recipe=RECIPE.format(seconds=given.seconds),
        lessons=lessons,
    )
    packed = gzip.compress(msgspec.json.encode(starter), mtime=0)
    given.output.write_bytes(packed)
    print(f"{given.output}: {len(lessons)} lessons, {len(packed) / 1e3:.0f} kB")


def rounded(lesson: Lesson) -> Lesson:
    """Return a lesson with as many digits as a measurement is worth."""

    def short(value: object) -> object:
        if isinstance(value, dict):
            return {name: short(one) for name, one in value.items()}
        if isinstance(value, list):
            return [short(one) for one in value]
        if isinstance(value, float) and value:
            return round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))
        return value

    return msgspec.convert(short(msgspec.to_builtins(lesson)), type=Lesson)


def _searched(one: Architecture, folder: Path, store: Path, seconds: float) -> TunedFile:
    spec = one.write(folder)
    slo_ms = max(LEAST_SLO_MS, SLO_RUNS * look_at(spec).request_ms)
    return autotune.search(
        spec.path,
        slo_ms=round(slo_ms, 1 - math.floor(math.log10(slo_ms))),
        percentile=95,
        shapes=spec.shapes or None,
        budget_s=seconds,
        store=store,
        blank=True,
    ).file


if __name__ == "__main__":
    main()
