"""Mutated models, tuned files and inputs: each must end well, or in one clear line.

    python benchmarks/fuzz --models 10000 --files 10000 --inputs 1000 --guided 50000

Models are loaded and run in child processes with limits of time and memory, everything else is read
here, in this process. Prints a table in Markdown; exits with 1 if anything took longer or more
memory than it may, or ended in a traceback or an unclear line. `--keep` saves what did.
"""

import argparse
import importlib.util
import resource
import sys
import tempfile
from pathlib import Path

# Run as a folder, Python looks for modules in it, and not beside it.
sys.path[0] = str(Path(__file__).parents[1])

from fuzz import files, guided, models  # noqa: E402 - so do these
from fuzz.tally import BAD, Tally, table  # noqa: E402

LIMIT_BYTES = 4 << 30
"""Of memory, for this process."""


def main() -> int:
    """Try as many of each as is asked for."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.splitlines()[0])
    for name in ("models", "files", "inputs", "guided"):
        parser.add_argument(f"--{name}", type=int, default=0, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for what ended badly")
    parser.add_argument("--lines", action="store_true", help="print what was said how often")
    asked = parser.parse_args()
    if asked.guided and importlib.util.find_spec("atheris") is None:
        parser.error("--guided needs atheris: pip install '.[fuzz]'")
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    tallies: list[Tally] = []
    if asked.models:
        tallies.append(models.run(asked.models, asked.seed, asked.keep))
    with tempfile.TemporaryDirectory(prefix="autotune-fuzz-") as folder:
        place = Path(folder)
        if asked.files:
            tallies.append(files.run(files.TUNED, asked.files, asked.seed, place, asked.keep))
        for target in files.INPUTS if asked.inputs else ():
            tallies.append(files.run(target, asked.inputs, asked.seed, place, asked.keep))
    if asked.guided:
        tallies.append(guided.run(asked.guided, asked.seed, asked.keep))
    print("\n".join(table(tallies)))
    for tally in tallies:
        for text in dict.fromkeys(tally.bad):
            print(f"\n{tally.what}: {text}")
        for line, count in tally.lines.most_common() if asked.lines else ():
            print(f"{tally.what}: {count} x {line}")
    return int(any(tally.ends[end] for tally in tallies for end in BAD))


if __name__ == "__main__":
    sys.exit(main())
