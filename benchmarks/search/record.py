"""Measure a whole lattice on this machine, several times, and keep it as a table.

    python -m search.record MODEL OUTPUT.csv --loads 40,110,170 --slo 50ms --rounds 2

Every configuration sees the same arrivals in the same round. A load is not tried again where a
lower one, or an earlier round, already made the queue diverge. After the rounds of all come more of
those alone that were best at each load, `BEST` of them: which is the best is told by these, since
the lowest of hundreds of short runs was lucky. An interrupted recording goes on where it stopped.
Beside the table, OUTPUT.json says on which machine and how it was made.
"""

import argparse
import contextlib
import csv
import fcntl
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from autotune import model_file
from autotune.arrivals import Traffic
from autotune.outcome import Measured, ModelInfo
from autotune.probes.cores import usable_cores
from autotune.probes.machine import Machine, this_machine
from autotune.records import Failed
from autotune.space.axes import Axes, make_axes
from autotune.space.lattice import make_lattice
from autotune.spec import ModelSpec, Record, ServingConfig, Slo
from autotune.stages.drive import Window, run_trial
from autotune.stats.judge import Judge
from autotune.stats.service import executions_of, service_states
from autotune.trial.bench import Bench
from autotune.units import parse_duration_s, parse_loads_rps, parse_shapes

BATCH_TIMEOUTS_MS = [0.0, 1.0, 2.0, 5.0, 10.0]
MOST_STATES = 8
RUN_S = (0.4, 1.2)
"""Shortest and longest run."""
PERCENTILES = (50, 90, 95, 99)
BEST, BEST_BY = 24, "p95_ms"
KNOBS = [
    "replicas",
    "intra_op_threads",
    "inter_op_threads",
    "execution_mode",
    "spinning",
    "max_batch_size",
    "batch_timeout_ms",
]
"""Those that ONNX Runtime has on a CPU."""
COLUMNS = [
    "round",
    "load_rps",
    *KNOBS,
    "outcome",
    "disturbed",
    "seconds",
    "requests",
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "cpu_ms",
    "service",
]
"""`service`: typical executions, split by `;`: batch size, busy replicas, median ms, count, rested.
"""


class Recorded(Record, frozen=True):
    """How a table was made."""

    model: str
    sha256: str
    slo: Slo
    loads_rps: list[float]
    seconds: list[float]
    """Of each run at each load, beside a lead-in that is not counted."""
    rounds: int
    """Of all configurations; later ones are of the best."""
    axes: Axes
    info: ModelInfo
    machine: Machine


class Plan(NamedTuple):
    """What is measured how."""

    slo: Slo
    loads_rps: list[float]
    seconds: list[float]
    lock: Path | None


def main() -> None:
    """Record one model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--loads", required=True)
    parser.add_argument("--slo", default="50ms")
    parser.add_argument("--rounds", type=int, default=2, help="of all configurations")
    parser.add_argument("--again", type=int, default=6, help="rounds of the best alone")
    parser.add_argument("--requests", type=int, default=250, help="about how many in each run")
    parser.add_argument("--shape", action="append", default=[], help="input=1x3x48x192")
    parser.add_argument("--lock", type=Path, help="hold this file locked during each run")
    given = parser.parse_args()
    slo = Slo(latency_ms=1e3 * parse_duration_s(given.slo, "--slo"))
    loads = list(parse_loads_rps(given.loads, "--loads"))
    seconds = [float(np.clip(given.requests / load, *RUN_S)) for load in loads]
    path = model_file.locate(given.model)
    shapes = parse_shapes(given.shape, "--shape")
    with Bench(ModelSpec(path=str(path), shapes=shapes)) as bench:
        info = bench.inspect()
        cores = usable_cores().usable
        axes = msgspec.structs.replace(
            make_axes(cores, info.batchable, slo.latency_ms), batch_timeouts_ms=BATCH_TIMEOUTS_MS
        )
        configs = make_lattice(axes, info.default_threads, 0, None).configs
        recorded = Recorded(
            model=given.model,
            sha256=model_file.sha256(path),
            slo=slo,
            loads_rps=loads,
            seconds=seconds,
            rounds=given.rounds,
            axes=axes,
            info=info,
            machine=this_machine(),
        )
        given.output.with_suffix(".json").write_bytes(
            msgspec.json.format(msgspec.json.encode(recorded), indent=1) + b"\n"
        )
        plan = Plan(slo, loads, seconds, given.lock)
        wanted = dict.fromkeys(configs, loads)
        for number in range(given.rounds + given.again):
            if number == given.rounds:
                wanted = best_of(given.output, given.rounds)
            record_round(bench, wanted, plan, number, given.output)


def best_of(path: Path, rounds: int) -> dict[ServingConfig, list[float]]:
    """Return the best configurations of the first rounds, each with the loads it was so at."""
    values: dict[float, dict[ServingConfig, list[float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["outcome"] == "served" and row[BEST_BY] and int(row["round"]) < rounds:
                here = values.setdefault(float(row["load_rps"]), {})
                here.setdefault(read_config(row), []).append(float(row[BEST_BY]))
    found: dict[ServingConfig, list[float]] = {}
    for load_rps, seen in sorted(values.items()):
        always = {config: np.prod(ms) for config, ms in seen.items() if len(ms) == rounds}
        for config in sorted(always, key=always.__getitem__)[:BEST]:
            found.setdefault(config, []).append(load_rps)
    return found


def record_round(
    bench: Bench, wanted: dict[ServingConfig, list[float]], plan: Plan, number: int, path: Path
) -> None:
    """Measure configurations once at their loads, session by session, in random order."""
    done, hopeless = _progress(path)
    configs, rng = list(wanted), np.random.default_rng(number)
    shapes = list(dict.fromkeys(config.session_shape for config in configs))
    places = {shapes[old]: new for new, old in enumerate(rng.permutation(len(shapes)))}
    shuffled = [configs[i] for i in rng.permutation(len(configs))]
    shuffled.sort(key=lambda config: places[config.session_shape])
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not file.tell():
            writer.writerow(COLUMNS)
        for shape, members in groupby(shuffled, key=lambda config: config.session_shape):
            for config in members:
                for load_rps in wanted[config]:
                    if (number, load_rps, config) in done:
                        continue
                    if hopeless.get(config, np.inf) <= load_rps:
                        break
                    index = plan.loads_rps.index(load_rps)
                    row = _measure(bench, config, plan, (number, index))
                    writer.writerow(row)
                    if row[COLUMNS.index("outcome")] != "served":
                        hopeless[config] = load_rps
            file.flush()
            print(f"round {number}: {shape}", flush=True)


def _measure(
    bench: Bench, config: ServingConfig, plan: Plan, place: tuple[int, int]
) -> list[object]:
    number, index = place
    traffic = Traffic(load_rps=plan.loads_rps[index])
    judge = Judge(plan.slo, traffic.mean_rps, stop_when=frozenset({"diverged"}))
    with _alone(plan.lock):
        window = Window(plan.seconds[index], (number, index))
        outcome, seconds = run_trial(bench, config, traffic, window, judge)
    key = [*_key(number, traffic.load_rps, config)]
    if isinstance(outcome, Failed):
        return [*key, outcome.kind, False, round(seconds, 3), 0, *[""] * 6]
    percentiles = [_percentile_ms(outcome, percent) for percent in PERCENTILES]
    served = "diverged" if outcome.diverged else "served"
    return [
        *key,
        served,
        bool(outcome.disturbed),
        round(seconds, 3),
        outcome.served + outcome.lost,
        *percentiles,
        round(1e3 * outcome.cpu_s / max(1, outcome.served), 4),
        ";".join(
            f"{state.batch_size},{state.busy},{1e3 * state.median_s:.4f},{state.executions}"
            f",{state.rested:.2f}"
            for state in service_states(executions_of([outcome]))[:MOST_STATES]
        ),
    ]


def _percentile_ms(outcome: Measured, percent: int) -> float | str:
    rank = int(np.ceil(percent / 100 * (outcome.served + outcome.lost)))
    if not 0 < rank <= outcome.served:
        return ""
    return round(1e3 * float(np.sort(outcome.latency_s)[rank - 1]), 4)


def _key(number: int, load_rps: float, config: ServingConfig) -> tuple[object, ...]:
    return (number, load_rps, *knob_values(config))


def knob_values(config: ServingConfig) -> list[object]:
    """Return the cells of a configuration."""
    return [getattr(config, name) for name in KNOBS]


def _progress(
    path: Path,
) -> tuple[set[tuple[int, float, ServingConfig]], dict[ServingConfig, float]]:
    """What was measured already, and the lowest load at which each did not keep up."""
    done, hopeless = set(), dict[ServingConfig, float]()
    if path.exists():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                config, load_rps = read_config(row), float(row["load_rps"])
                done.add((int(row["round"]), load_rps, config))
                if row["outcome"] != "served":
                    hopeless[config] = min(load_rps, hopeless.get(config, np.inf))
    return done, hopeless


def read_config(row: dict[str, str]) -> ServingConfig:
    """Return the configuration that a row of a table is about."""
    return msgspec.convert(
        {name: row[name] == "True" if name == "spinning" else row[name] for name in KNOBS},
        ServingConfig,
        strict=False,
    )


@contextlib.contextmanager
def _alone(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
