"""A plan for a trace of 10^8 requests and 50 machine types: `python benchmarks/plan_scale.py`

`--requests`, `--types`, and `--kind dates` change the question. The trace is written under the
folder for temporary files first (1.2 GB, dates 2.7 GB) and deleted afterwards: Poisson arrivals
over a day whose rate swings by half. The types are made up: one set of seven configurations at as
many speeds and prices. Timed is the command as a person calls it, reading the trace included; then
the reading alone, in a process of its own.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from msgspec.structs import replace

from autotune import config_file
from autotune.outcome import Samples
from autotune.service import ConfigTimes
from autotune.spec import ServingConfig, Slo

DAY_S = 86_400.0
PARTS = 200
GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "v9.autotune.json"
CONFIGS = [ServingConfig()] + [
    ServingConfig(
        replicas=replicas,
        intra_op_threads=1,
        spinning=False,
        max_batch_size=batch,
        batch_timeout_ms=timeout_ms,
    )
    for replicas in (1, 2, 4)
    for batch, timeout_ms in ((1, 0.0), (8, 2.0))
]
READING = """
import sys, pathlib
from autotune.planning.arriving import read_arriving
read_arriving(pathlib.Path(sys.argv[1]), "--trace")
"""
BEGAN_S = 1_767_225_600.0
"""2026-01-01, UTC."""


def main() -> None:
    """Write the question, let it be answered, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=float, default=1e8)
    parser.add_argument("--types", type=int, default=50)
    parser.add_argument("--kind", choices=("seconds", "dates"), default="seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "requests.csv"
        write(trace, round(given.requests), given.kind)
        print(f"{given.requests:,.0f} requests, {trace.stat().st_size / 1e9:.2f} GB, {given.kind}")
        files = write_types(Path(folder), given.types)
        plan = [sys.executable, "-m", "autotune", "plan", *files, "--trace", str(trace)]
        plan += ["--prices", f"{folder}/prices.toml", "-o", f"{folder}/plan.json"]
        timed(f"plan with {given.types} machine types", plan)
        tell(Path(folder) / "plan.json")
        timed("reading alone", [sys.executable, "-c", READING, str(trace)])


def timed(name: str, command: list[str]) -> None:
    """Run a command; print its seconds and peak memory, of which children have their own."""
    began_s = time.perf_counter()
    quiet = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1)]
    )
    os.close(quiet)
    _, status, used = os.wait4(pid, 0)
    print(
        f"{name}: {time.perf_counter() - began_s:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of "
        f"CPU time, at most {used.ru_maxrss / 1e3:,.0f} MB, "
        f"exit {os.waitstatus_to_exitcode(status)}",
        flush=True,
    )


def tell(path: Path) -> None:
    """Print what the plan says, and how far its reckoning is off."""
    plan = json.loads(path.read_text())
    print(f"  {plan['summary']}\n  reckoned against request by request: {plan['aggregation']}")


def write_types(folder: Path, count: int) -> list[str]:
    """Write tuned files and a price list; return the files' paths."""
    kept = config_file.read(GOLDEN)
    assert kept.service is not None
    rng = np.random.default_rng(7)
    prices = ['currency = "USD"']
    paths = []
    for place, speed in enumerate(rng.uniform(0.5, 4.0, count).tolist()):
        times = [
            ConfigTimes(
                config=config,
                batch_s=[(0.006 + 0.002 * n) / speed for n in (1, 2, 4, 8)],
                crowding=[1.0] * config.replicas,
                calm_busy=config.replicas,
                rests=0,
                open_s=0.05,
            )
            for config in CONFIGS
        ]
        tuned = replace(
            kept,
            slo=Slo(latency_ms=50.0),
            recommended=CONFIGS[0],
            policy=[
                replace(kept.policy[0], load_rps=10.0 * (place + 1), config=config)
                for place, config in enumerate(CONFIGS)
            ],
            trials=[],
            finalists=[],
            front=[],
            curves=[],
            trade_offs=[],
            service=replace(kept.service, configs=times),
        )
        path = folder / f"type-{place}.autotune.json"
        path.write_text(config_file.to_json(tuned))
        paths.append(str(path))
        per_hour = 0.05 * speed ** rng.uniform(0.8, 1.2)
        prices += [f'[machines."type-{place}"]', f"price_per_hour = {per_hour:.4f}"]
    (folder / "prices.toml").write_text("\n".join(prices))
    return paths


def write(path: Path, requests: int, kind: str) -> None:
    """Write a trace as a CSV file with a header."""
    with path.open("w") as file:
        file.write("arrival_s\n")
        for times_s in arrivals(requests):
            if kind == "seconds":
                file.write("\n".join(map("{:.4f}".format, times_s.tolist())))
            else:
                dates = pd.to_datetime(BEGAN_S + times_s, unit="s").to_numpy()
                file.write("\n".join(np.datetime_as_string(dates, unit="us").tolist()))
            file.write("\n")


def arrivals(requests: int) -> Iterator[Samples]:
    """Yield so many arrivals over a day, part by part, ascending."""
    rng = np.random.default_rng(5)
    length_s = DAY_S / PARTS
    shares = 1 + 0.5 * np.sin(2 * np.pi * np.arange(PARTS) / PARTS)
    for part, share in enumerate(shares / shares.sum()):
        yield part * length_s + np.sort(rng.uniform(0, length_s, round(requests * share)))


if __name__ == "__main__":
    main()
