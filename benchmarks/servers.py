"""Promised against observed, for each server: the table of docs/servers.md.

    python benchmarks/servers.py FILE LOAD SERVER=PYTHON ...

FILE is a tuned file, LOAD one of its loads in requests/s, PYTHON the interpreter that has the
server. Each is verified ROUNDS times, in turn; medians are printed.
"""

import json
import statistics
import subprocess
import sys
from typing import Any

from autotune.exports.exporters import EXPORTERS

ROUNDS = 3


def verify(file: str, load: str, server: str, python: str) -> dict[str, Any]:
    """Return what one run of the command saw."""
    command = [sys.executable, "-m", "autotune", "verify", file, "--load", load, "--json"]
    options = ["--server", server, "--python", python]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found[0]


def median(values: list[float | None]) -> str:
    """Return the median with its range; lost ones are infinite."""
    known = [float("inf") if value is None else value for value in values]
    return f"{statistics.median(known):.3g} [{min(known):.3g}-{max(known):.3g}]"


def row(server: str, seen: list[dict[str, Any]]) -> str:
    """Return a row of the table."""
    first = seen[0]
    carried = [one.how for one in EXPORTERS[server].carried.values()]
    full, almost = sum(how in ("setting", "code") for how in carried), carried.count("almost")
    loads = [one["loads"][0] for one in seen]
    kept = [100 * one["slo_attainment"] for one in loads]
    took = sum(one["effect"] == "took effect" for one in first["knobs"])
    cells = [
        server,
        str(first["version"]),
        f"{full}{f' + {almost} almost' if almost else ''}",
        str(took),
        median([one["overhead_ms"] for one in seen]),
        f"{first['loads'][0]['promised']['p99']['value_ms']:.3g}",
        median([one["p99"]["value_ms"] for one in loads]),
        f"{statistics.median(kept):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(file: str, load: str, *pairs: str) -> None:
    """Verify all servers in turn and print the table."""
    servers = dict(pair.split("=", 1) for pair in pairs)
    seen: dict[str, list[dict[str, Any]]] = {server: [] for server in servers}
    for _ in range(ROUNDS):
        for server, python in servers.items():
            seen[server].append(verify(file, load, server, python))
    print(
        "| server | version | of 7 knobs carried | seen to take effect | adds to an execution, ms "
        "| p99 in the file, ms | p99 seen, ms | in SLO, % |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for server, found in seen.items():
        print(row(server, found))


if __name__ == "__main__":
    main(*sys.argv[1:])
