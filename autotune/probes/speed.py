"""How fast this machine computes, moves memory and wakes up: a probe of some two seconds.

`python -m autotune.probes.speed` prints `MachineTraits` as JSON. It runs in a process of its own,
started by `probe`, because a mathematical library reads its number of threads once. Each figure is
the best of several short repeats: whatever disturbs makes it slower.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np

from autotune.errors import MeasureError
from autotune.probes.caches import cache_bytes, highest_clock_ghz
from autotune.probes.cores import usable_cores, usable_cpus
from autotune.probes.memory import available_memory_bytes
from autotune.runtime_environment import passed_on
from autotune.traits import MachineTraits

LONGEST_S = 60.0
"""After this, the probe is given up: it hangs."""
_REPEATS = 20
_REPEAT_S = 0.02
_SIDE = 384
"""Of the matrices: three of them fit the caches of one core."""
_MOST_BYTES = 256 << 20
"""That are copied from and to, by all cores together."""
_MOST_SHARE = 0.1
"""Of the memory that is available."""
_LEAST_BYTES = 1 << 20
_NAPS = 100
_NAP_S = 1e-3

Work = Callable[[], object]


def probe() -> MachineTraits:
    """Measure this machine, in another process and with all cores that this one may use.

    Raises:
        MeasureError: that process fails; the message is its last line.
    """
    threads = ("OPENBLAS", "OMP", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR")
    alone = {f"{name}_NUM_THREADS": "1" for name in threads}
    command = [sys.executable, "-P", "-m", __spec__.name]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=passed_on(os.environ) | alone,
            timeout=LONGEST_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MeasureError(f"the machine cannot be probed: {error}") from None
    try:
        return msgspec.json.decode(done.stdout, type=MachineTraits)
    except msgspec.MsgspecError:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no answer"]
        raise MeasureError(f"the machine cannot be probed: {said[0]}") from None


def measure() -> MachineTraits:
    """Measure in this process, whose mathematical library must have one thread."""
    cores, cpus = usable_cores().usable, usable_cpus()
    room = _MOST_SHARE * (available_memory_bytes() or 0)
    block_bytes = max(_LEAST_BYTES, min(_MOST_BYTES, int(room))) // 2
    core_gflops, core_gbps = _multiplied_gflops(1), _copied_gbps(1, block_bytes)
    return MachineTraits(
        cores=cores,
        core_gflops=core_gflops,
        all_gflops=max(core_gflops, _multiplied_gflops(cores)),
        core_gbps=core_gbps,
        all_gbps=max(core_gbps, _copied_gbps(cores, block_bytes // cores)),
        wake_us=1e6 * statistics.median(_lateness_s() for _ in range(_NAPS)),
        l2_bytes=cache_bytes(cpus, 2),
        l3_bytes=cache_bytes(cpus, 3),
        clock_ghz=highest_clock_ghz(cpus),
    )


def best_rate(
    make: Callable[[], Work], threads: int, repeats: int = _REPEATS, repeat_s: float = _REPEAT_S
) -> float:
    """Return how often per second a work is done by threads together, the most of the repeats.

    From the first that begins to the last that ends: threads that have to take turns are slower,
    and not as fast as each is in its turn.

    Args:
        make: called in each thread, so that memory is touched first where it is used. What it
            returns must let go of the interpreter lock.
        threads: how many.
        repeats: how often they begin together.
        repeat_s: for how long each goes on.

    Raises:
        Exception: whatever the work raises.
    """
    together = threading.Barrier(threads)

    def go_on() -> list[tuple[float, float, int]]:
        try:
            work = make()
            work()
            return [_repeat(together, work, repeat_s) for _ in range(repeats)]
        except BaseException:
            together.abort()  # the others would wait for ever
            raise

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(go_on) for _ in range(threads)]
    rates: list[float] = []
    for row in zip(*(future.result() for future in futures), strict=True):
        started_s, ended_s, counts = zip(*row, strict=True)
        rates.append(sum(counts) / (max(ended_s) - min(started_s)))
    return max(rates)


def _repeat(together: threading.Barrier, work: Work, repeat_s: float) -> tuple[float, float, int]:
    """Return when it began and ended, and how often the work was done."""
    together.wait()
    now_s = started_s = time.perf_counter()
    count = 0
    while now_s - started_s < repeat_s:
        work()
        count += 1
        now_s = time.perf_counter()
    return started_s, now_s, count


def _multiplied_gflops(threads: int) -> float:
    def make() -> Work:
        draw = np.random.default_rng(0)
        left, right = draw.standard_normal((2, _SIDE, _SIDE), dtype=np.float32)
        result = np.empty_like(left)
        return lambda: np.matmul(left, right, out=result)

    return 2.0 * _SIDE**3 * best_rate(make, threads) / 1e9


def _copied_gbps(threads: int, block_bytes: int) -> float:
    """Return what is read and written by threads that copy a block each, 10^9 bytes/s."""

    def make() -> Work:
        source = np.ones(block_bytes, dtype=np.uint8)
        target = np.empty_like(source)
        return lambda: np.copyto(target, source)

    return 2.0 * block_bytes * best_rate(make, threads) / 1e9


def _lateness_s() -> float:
    started_s = time.perf_counter()
    time.sleep(_NAP_S)
    return time.perf_counter() - started_s - _NAP_S


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure()))
