"""autotune's open loop against MLPerf LoadGen's Server scenario, on the same requests.

Both drive the same model with the same number of ONNX Runtime sessions with the same options, each
time in a fresh process, in interleaved rounds. LoadGen's schedule follows from its seed; autotune
serves that schedule, request for request, and LoadGen's trace must show it to 10 us. Both count
latency from the scheduled arrival. LoadGen's system under test is a queue and one thread per
replica. Percentiles are of all rounds together, with 95 % intervals; ratios are paired by round.

`python benchmarks/against_loadgen.py` takes 13 minutes by default; it needs `pip install
'.[bench]'`. For PP-OCR's classifier of text direction, `pip install --no-deps rapidocr_onnxruntime`
and `--model rapidocr_onnxruntime:ch_ppocr_mobile_v2.0_cls_infer.onnx --shape x=1x3x48x192`.
"""

import argparse
import gc
import importlib.util
import itertools
import json
import queue
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fresh import RunModel, add_model_options, config_of, in_fresh_process, model_of, open_replicas
from fresh import spread as spread_of

from autotune.engine.source import Tensors
from autotune.outcome import Flags, Measured, Samples
from autotune.spec import ModelSpec, ServingConfig, SessionShape, TrialSpec
from autotune.stats.paired import Comparison, compare_rounds
from autotune.stats.percentiles import Interval, percentile, percentile_interval
from autotune.stats.summary import fresh_of
from autotune.trial.bench import Bench

QUANTILES = (0.50, 0.90, 0.99)
SAME_SCHEDULE_S = 10e-6
GRACE_S = 30.0
NO_LOADGEN = "MLPerf LoadGen is not installed: pip install -c constraints.txt '.[bench]'"


class Served(NamedTuple):
    """What one side says of one run; arrays in order of arrival."""

    latency_s: Samples
    service_s: Samples
    late_s: Samples
    """How much later than scheduled a request that nothing delayed was known to the server."""
    fresh: Flags | None
    """Which requests found a replica free; None: unknown."""


def loadgen_schedule(seed: int, load_rps: float, count: int) -> Samples:
    """Return LoadGen's arrivals: exponential gaps, each from two words of a Mersenne Twister."""
    words = np.random.RandomState(seed).randint(0, 2**32, 2 * (count - 1), dtype=np.uint64)
    uniform = (words[0::2] + words[1::2] * 2.0**32) / 2.0**64
    return np.concatenate([[0.0], np.cumsum(-np.log1p(-uniform) / load_rps)])


def serve_by_autotune(
    model: ModelSpec, config: ServingConfig, load_rps: float, seed: int, count: int
) -> Served:
    """Serve LoadGen's schedule with autotune's bench, in a child process of its own."""
    arrivals_s = loadgen_schedule(seed, load_rps, count)
    trial = TrialSpec(config=config, arrivals_s=arrivals_s.tolist(), grace_s=GRACE_S)
    with Bench(model) as bench:
        run = bench.measure(trial)
    if not isinstance(run, Measured) or run.served != count:
        raise SystemExit(f"autotune: {config.describe()}: {run}")
    return Served(run.latency_s, run.service_s, run.issue_lateness_s, fresh_of([run]))


def serve_by_loadgen(
    model: ModelSpec, shape: SessionShape, load_rps: float, seed: int, count: int
) -> Served:
    """Let LoadGen drive the sessions in this process; what it says comes from its own trace."""
    import mlperf_loadgen as lg

    runs, samples = open_replicas(model, shape)
    waiting: queue.SimpleQueue[tuple[int, Tensors] | None] = queue.SimpleQueue()
    turns, service_s = itertools.cycle(samples), list[float]()

    def issue(queries: Sequence[Any]) -> None:
        for query in queries:
            waiting.put((query.id, next(turns)))

    def replica(run: RunModel) -> None:
        while (taken := waiting.get()) is not None:
            started_s = time.perf_counter()
            run(None, taken[1])
            service_s.append(time.perf_counter() - started_s)
            lg.QuerySamplesComplete([lg.QuerySampleResponse(taken[0], 0, 0)])

    threads = [threading.Thread(target=replica, args=(run,)) for run in runs]
    gc.collect()
    gc.freeze()  # as autotune's child does
    for thread in threads:
        thread.start()
    with tempfile.TemporaryDirectory(prefix="loadgen-") as folder:
        sut = lg.ConstructSUT(issue, lambda: None)
        qsl = lg.ConstructQSL(len(samples), len(samples), lambda _: None, lambda _: None)
        settings = _test_settings(lg, load_rps, seed, count)
        lg.StartTestWithLogSettings(sut, qsl, settings, _log_settings(lg, folder), "")
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()
        lg.DestroyQSL(qsl)
        lg.DestroySUT(sut)
        latency_s, late_s = _read_trace(Path(folder), loadgen_schedule(seed, load_rps, count))
    return Served(latency_s, np.array(service_s), late_s, None)


def _test_settings(lg: Any, load_rps: float, seed: int, count: int) -> Any:
    settings = lg.TestSettings()
    settings.scenario = lg.TestScenario.Server
    settings.mode = lg.TestMode.PerformanceOnly
    settings.server_target_qps = load_rps
    settings.server_target_latency_ns = int(60e9)  # its verdict is of no interest here
    settings.server_coalesce_queries = False
    settings.min_duration_ms = 1
    settings.min_query_count = settings.max_query_count = count
    settings.schedule_rng_seed = seed
    settings.qsl_rng_seed = settings.sample_index_rng_seed = 1
    return settings


def _log_settings(lg: Any, folder: str) -> Any:
    log = lg.LogSettings()
    log.enable_trace = True
    log.log_output.outdir = folder
    log.log_output.copy_summary_to_stdout = False
    return log


def _read_trace(folder: Path, scheduled_s: Samples) -> tuple[Samples, Samples]:
    """Return each query's latency and how late it was issued, in seconds, in order of arrival.

    A query's span begins at its scheduled time, and its other times count from there.
    """
    lines = (folder / "mlperf_log_trace.json").read_text().splitlines()
    spans = [
        json.loads(line.rstrip(","))
        for line in lines
        if line.startswith('{"name":"Sample",') and '"ph":"b"' in line
    ]
    spans.sort(key=lambda span: int(span["args"]["query_seq"]))
    at_s = np.array([span["ts"] for span in spans]) / 1e6
    if len(at_s) != len(scheduled_s):
        raise SystemExit(f"LoadGen's trace has {len(at_s)} queries, not {len(scheduled_s)}")
    apart_s = float(np.max(np.abs(at_s - at_s[0] - scheduled_s)))
    if apart_s > SAME_SCHEDULE_S:
        raise SystemExit(f"LoadGen's schedule is not the one expected: {apart_s * 1e6:.0f} us off")
    latency_s, late_s = (
        np.array([span["args"][name] for span in spans]) / 1e9
        for name in ("complete_ns", "issue_start_ns")
    )
    return latency_s, late_s


def _pooled(runs: Sequence[Served], quantile: float) -> Interval:
    latency_ms = np.concatenate([run.latency_s for run in runs]) * 1e3
    flags = [run.fresh for run in runs if run.fresh is not None]
    fresh = np.concatenate(flags) if flags else None
    return percentile_interval(latency_ms, 0, quantile, fresh=fresh)


def _holds(interval: Interval, value: float) -> bool:
    low, high = interval.low, interval.high
    return (low is None or low <= value) and (high is None or value <= high)


def _show(interval: Interval) -> str:
    low, high = ("?" if b is None else f"{b:.2f}" for b in (interval.low, interval.high))
    return f"{interval.value:.2f} ({low} to {high})"


def _ratio(found: Comparison) -> str:
    low, high = ("?" if b is None else f"{b:.2f}" for b in (found.low, found.high))
    return f"{found.ratio:.2f} ({low} to {high})"


def _print_latencies(results: dict[float, list[tuple[Served, Served]]]) -> None:
    print(
        "| load | requests | percentile | LoadGen ms (95 % interval) | autotune ms (95 % interval) "
        "| autotune / LoadGen by round (95 %) | within each other's intervals | by rounds |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for load_rps, rounds in results.items():
        theirs, ours = zip(*rounds, strict=True)
        requests = sum(len(run.latency_s) for run in ours)
        for quantile in QUANTILES:
            their, our = _pooled(theirs, quantile), _pooled(ours, quantile)
            ratios = [
                percentile(b.latency_s, 0, quantile) / percentile(a.latency_s, 0, quantile)
                for a, b in rounds
            ]
            by_rounds = compare_rounds(np.log(ratios))
            agree = "yes" if _holds(their, our.value) and _holds(our, their.value) else "no"
            print(
                f"| {load_rps:g}/s | {requests} | p{100 * quantile:g} | {_show(their)} | "
                f"{_show(our)} | {_ratio(by_rounds)} | {agree} "
                f"| {'differs' if by_rounds.differs else 'noise'} |"
            )


def _print_parts(results: dict[float, list[tuple[Served, Served]]]) -> None:
    print("\n| load | service ms, LoadGen | autotune | issued late by us, LoadGen | autotune |")
    print("|---|---|---|---|---|")
    for load_rps, rounds in results.items():
        sides = list(zip(*rounds, strict=True))
        service = [spread_of([float(r.service_s.mean()) * 1e3 for r in runs]) for runs in sides]
        late = [spread_of([float(r.late_s.mean()) * 1e6 for r in runs], 0) for runs in sides]
        print(f"| {load_rps:g}/s | {' | '.join(service + late)} |")


def main() -> None:
    """Print the latencies of both, and what may explain a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser, "magika:")
    parser.add_argument("--loads", default="30,80,120", help="requests/s, separated by commas")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads of each replica")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    options = parser.parse_args()
    if importlib.util.find_spec("mlperf_loadgen") is None:
        raise SystemExit(NO_LOADGEN)
    model = model_of(options.model, options.shape)
    config = config_of(options.replicas, options.threads)
    loads = [float(load) for load in options.loads.split(",")]
    results: dict[float, list[tuple[Served, Served]]] = {load: [] for load in loads}
    for number in range(options.rounds):
        for load_rps in loads:
            run = (load_rps, number + 1, round(load_rps * options.seconds))
            if number % 2:
                ours = serve_by_autotune(model, config, *run)
                theirs = in_fresh_process(serve_by_loadgen, model, config.session_shape, *run)
            else:
                theirs = in_fresh_process(serve_by_loadgen, model, config.session_shape, *run)
                ours = serve_by_autotune(model, config, *run)
            results[load_rps].append((theirs, ours))
    print(f"`{shlex.join(['python', *sys.argv])}`\n")
    _print_latencies(results)
    _print_parts(results)


if __name__ == "__main__":
    main()
