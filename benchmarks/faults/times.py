"""Time that goes wrong: stopped processes, stepping clocks, cores that go, two at once."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
import zlib
from pathlib import Path

import msgspec

from autotune.outcome import Measured
from autotune.records import Failed
from autotune.stages.kept_bench import Known
from autotune.trial import wire
from faults.desk import Desk, Ended, a_desk
from faults.tally import Tally

STOPPED_S = 1.2
"""Longer than anything takes in the models of a desk."""
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static long step(void) {
    static int (*real)(clockid_t, struct timespec *);
    struct timespec now;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_MONOTONIC, &now);
    return (now.tv_nsec / 250000000L) % 2 ? 7200 : -7200;
}
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int found = real(id, at);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) at->tv_sec += step();
    return found;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
"""


def suspended(tries: int, seed: int) -> Tally:
    """Stop and continue the search, or one of its children, at random moments."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("SIGSTOP and SIGCONT of the search or of its children", 0)
    while tally.tries < tries:
        with a_desk() as desk:
            process, stops = desk.start(), 0
            while process.poll() is None and stops < 8:
                time.sleep(rng.uniform(0.5, 2.0))
                if pids := desk.processes():
                    stops += _stop(rng.choice(pids))
            tally += _after(desk, desk.ended(process))._replace(tries=stops)
    return tally._replace(seconds=time.monotonic() - started_s)


def _stop(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STOPPED_S)
        os.kill(pid, signal.SIGCONT)
        return 1
    return 0


def _after(desk: Desk, ended: Ended) -> Tally:
    """Count what is wrong after a search in which processes stood still."""
    late = sum(latency_s > 0.8 * STOPPED_S for latency_s in slowest_s(desk))
    wrong = late + int(not desk.is_whole())
    lost = max(0, ended.measured - desk.records())
    left = desk.left_behind() + desk.litter()
    return Tally("", 1, lost=lost, wrong=wrong, leaked=left, unclear=int(not ended.is_clear))


def slowest_s(desk: Desk) -> list[float]:
    """Return the largest latency, or service time, of every measurement in the store."""
    either = msgspec.msgpack.Decoder(Known[Measured | Failed], dec_hook=wire.array_of_bytes)
    found = []
    with contextlib.closing(sqlite3.connect(desk.store)) as connection:
        query = "SELECT outcome FROM records WHERE kind = 'measure'"
        for (outcome,) in connection.execute(query):
            run = either.decode(zlib.decompress(outcome)).outcome
            if isinstance(run, Measured) and not run.disturbed and run.served:
                found.append(float(run.latency_s.max()))
    return found


def stepping_clock(tries: int, seed: int) -> Tally:
    """Search while the clock of the wall jumps by four hours, four times a second."""
    started_s = time.monotonic()
    tally = Tally("the wall clock jumps by hours, several times a second", 0)
    if shutil.which("gcc") is None:
        return tally._replace(note="not tried: no gcc to build the clock with")
    for _ in range(tries):
        with a_desk() as desk:
            source, library = desk.folder / "data" / "clock.c", desk.folder / "data" / "clock.so"
            source.parent.mkdir(exist_ok=True)
            source.write_text(CLOCK)
            flags = ["-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
            subprocess.run(["gcc", *flags], check=True)
            desk.environment["LD_PRELOAD"] = str(library)
            before_s = time.monotonic()
            ended = desk.search()
            took_s = time.monotonic() - before_s
            tuned = desk.answer()
            told_s = tuned.search.seconds if tuned is not None else -1.0
            found = _after(desk, ended)
            tally += found._replace(wrong=found.wrong + int(not 0 < told_s < took_s + 1))
    return tally._replace(seconds=time.monotonic() - started_s)


def fewer_cores(tries: int, seed: int) -> Tally:
    """Take cores away in the middle of a search."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("cores taken away in mid-search (affinity)", 0)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return tally._replace(note="not tried: there is one core only")
    for _ in range(tries):
        with a_desk() as desk:
            process = desk.start()
            time.sleep(rng.uniform(2.0, 5.0))
            before = desk.records()
            for pid in desk.processes():
                for thread in Path(f"/proc/{pid}/task").glob("*"):
                    with contextlib.suppress(OSError):
                        os.sched_setaffinity(int(thread.name), {cores[0]})
            ended = desk.ended(process)
            known = "the machine changed: " in ended.complaint and not desk.output.exists()
            lost = max(0, before - desk.records())
            whole = desk.search()
            fits = "measuring anew" not in whole.err and "going on" in whole.err
            tally += Tally(
                "",
                1,
                lost=lost,
                wrong=int(not known or not fits or not desk.is_whole()),
                leaked=desk.left_behind() + desk.litter(),
                unclear=int(not ended.is_clear or not whole.is_clear),
            )
    return tally._replace(seconds=time.monotonic() - started_s)


def two_at_once(tries: int, seed: int) -> Tally:
    """Start two searches at the same moment: one waits for the other."""
    started_s = time.monotonic()
    tally = Tally("two searches at once", 0)
    for _ in range(tries):
        with a_desk() as first, a_desk() as second:
            running = [desk.start(shared=False) for desk in (first, second)]
            alone = [desk.ended(one) for desk, one in zip((first, second), running, strict=True)]
            waited = sum("waiting for process" in one.err for one in alone)
            overlap = _overlap(first, second)
            tally += Tally(
                "",
                1,
                wrong=int(waited != 1) + overlap,
                leaked=first.left_behind() + second.left_behind(),
                unclear=sum(not one.is_clear for one in alone),
            )
    return tally._replace(seconds=time.monotonic() - started_s)


def _overlap(first: Desk, second: Desk) -> int:
    """Whether both measured at the same time."""
    spans = []
    for desk in (first, second):
        with contextlib.closing(sqlite3.connect(desk.store)) as connection:
            query = "SELECT min(ended_at), max(ended_at) FROM records"
            spans.append(connection.execute(query).fetchone())
    (one_from, one_to), (two_from, two_to) = spans
    return int(one_from < two_to and two_from < one_to)
