"""Everything that can go wrong with a search, for real: nothing lost, wrong or left behind.

    python benchmarks/faults --kills 200 --tries 20

Prints a table in Markdown as it goes; exits with 1 if anything was lost, wrong, left behind or
unclear. `--only` names faults by a part of their names.
"""

import argparse
import sys
from pathlib import Path

# Run as a folder, Python looks for modules in it, and not beside it.
sys.path[0] = str(Path(__file__).parents[1])

from faults.catalogue import faults  # noqa: E402 - so do these
from faults.tally import table  # noqa: E402


def main() -> int:
    """Try them."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="how often to kill each")
    parser.add_argument("--tries", type=int, default=20, help="of most other faults")
    parser.add_argument("--only", action="append", help="part of a fault's name")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chosen = {
        name: one
        for name, one in faults(asked.kills, asked.tries).items()
        if not asked.only or any(part in name for part in asked.only)
    }
    if not chosen:
        parser.error(f"--only {asked.only}: there are {', '.join(faults(1, 1))}")
    found = []
    for name, (fault, tries) in chosen.items():
        found.append(fault(tries, asked.seed))
        print(f"{name}: {found[-1]}", file=sys.stderr, flush=True)
    print("\n".join(table(found)))
    return int(any(one.is_bad for one in found))


if __name__ == "__main__":
    sys.exit(main())
