"""The process that libFuzzer runs in and ends: `python -m fuzz.guided_child RUNS SEED FOLDER`.

Nothing of autotune may be imported before it is instrumented.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

_LONGEST_BYTES = 120_000


def main() -> None:
    """Fuzz until so many runs are done; an error of any kind but ours ends it."""
    runs, seed, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["autotune", "csv", "tomllib"]):
        from fuzz import files
    targets = (files.TUNED, *files.INPUTS)
    seeds = folder / "corpus"
    seeds.mkdir()
    for place, target in enumerate(targets):
        for number, data in enumerate(target.seeds()):
            (seeds / f"{place}-{number}").write_bytes(bytes([place]) + data)

    def one(data: bytes) -> None:
        target = targets[data[0] % len(targets)] if data else targets[0]
        found = files.attempt(target, data[1:], folder)
        if found.end in ("over_time", "over_memory", "unclear"):
            raise RuntimeError(f"{target.name}: {found.end}: {found.line}")

    options = [f"-atheris_runs={runs}", f"-seed={seed + 1}", f"-max_len={_LONGEST_BYTES}"]
    options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=4096", "-timeout=60"]
    atheris.Setup([sys.argv[0], *options, str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
