"""Killed with SIGKILL: the parent and its children, at any moment, and inside of writing."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import structs

from autotune import config_file
from autotune.errors import ConfigFileError
from autotune.store.database import Store
from faults.desk import Desk, a_desk
from faults.tally import Tally

LATEST_S = 7.0
"""After its start, a search of the desk has ended."""
LONGEST_LOG_BYTES = 400_000
COMMITS = """
import sys
from pathlib import Path
from autotune.store.database import RecordRow, SearchRow, Store
with Store(Path(sys.argv[1])) as store:
    found = store.searches("{}")
    search = found[0][0] if found else store.begin(SearchRow("now", "me", "{}", "m", "{}"))
    for turn in range(store.count(search), 10**9):
        row = RecordRow("measure", b"d", turn, turn.to_bytes(8), turn.to_bytes(8) * 1500)
        store.keep(search, [row])
        print(turn, flush=True)
"""
WRITES = """
import sys
from pathlib import Path
from autotune import config_file
first, second = (config_file.read(Path(name)) for name in sys.argv[1:3])
while True:
    for one in (first, second):
        config_file.write(Path(sys.argv[3]), one)
        print("written", flush=True)
"""


def parents(tries: int, seed: int) -> Tally:
    """Kill searches at random moments and go on with each until it ends, again and again."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("SIGKILL of the search at a random moment, then the same again", 0)
    while tally.tries < tries:
        with a_desk() as desk:
            while tally.tries < tries:
                process = desk.start()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0.0, LATEST_S))
                if process.poll() is not None:
                    break
                process.kill()
                ended = desk.ended(process)
                tally += Tally(
                    "",
                    1,
                    lost=max(0, ended.measured - desk.records()),
                    wrong=int(not desk.is_whole()),
                    leaked=desk.left_behind(),
                )
            tally += _finished(desk)
    return tally._replace(seconds=time.monotonic() - started_s)


def _finished(desk: Desk) -> Tally:
    """End the search, and have its answer computed once more from what the store has."""
    ended = desk.search()
    first, kept = desk.answer(), desk.records()
    desk.forget_answer()
    again = desk.search()
    second = desk.answer()
    # What numbers an answer rests on must all be in the store, so that nothing is measured again.
    alike = first is not None and second is not None and first.policy == second.policy
    return Tally(
        "",
        0,
        lost=desk.records() - kept,
        wrong=int(not alike),
        leaked=desk.left_behind() + desk.litter(),
        unclear=int(not ended.is_clear) + int(not again.is_clear),
    )


def children(tries: int, seed: int) -> Tally:
    """Kill children of a search at random moments; it goes on without what they measured."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("SIGKILL of its children at random moments", 0)
    while tally.tries < tries:
        with a_desk() as desk:
            process, killed = desk.start(), 0
            while process.poll() is None:
                time.sleep(rng.uniform(0.3, 1.5))
                pids = [pid for pid in desk.processes() if pid != process.pid]
                if pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(rng.choice(pids), signal.SIGKILL)
                        killed += 1
            ended = desk.ended(process)
            tally += Tally(
                "",
                killed,
                lost=max(0, ended.measured - desk.records()),
                wrong=int(not desk.is_whole()),
                leaked=desk.left_behind() + desk.litter(),
                unclear=int(not ended.is_clear),
            )
    return tally._replace(seconds=time.monotonic() - started_s)


def commits(tries: int, seed: int) -> Tally:
    """Kill a process that does nothing but commit, by a signal or within a write."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("SIGKILL, or SIGXFSZ within write(2), while it commits", 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        for number in range(tries):
            size = path.stat().st_size if path.exists() else 0
            most = None if number % 2 else size + LONGEST_LOG_BYTES
            said = _until_killed(rng, [COMMITS, str(path)], most)
            acknowledged = int(said[-1]) + 1 if said else 0
            with Store(path) as store:
                search = next((number for number, _ in store.searches("{}")), 0)
                kept = store.count(search)
                right = all(
                    store.outcome(search, b"d", turn) == turn.to_bytes(8) * 1500
                    for turn in range(max(0, kept - 3), kept)
                )
            wrong = int(store.set_aside is not None or not right)
            tally += Tally("", 1, lost=max(0, acknowledged - kept), wrong=wrong)
            if kept > 400:
                for one in Path(folder).iterdir():
                    one.unlink()
    return tally._replace(seconds=time.monotonic() - started_s)


def writes(tries: int, seed: int) -> Tally:
    """Kill a process that does nothing but write the result file."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("SIGKILL, or SIGXFSZ within write(2), while it writes the result", 0)
    golden = sorted(Path(__file__).parents[2].glob("tests/golden/v*.autotune.json"))[-1]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        one = config_file.read(golden)
        versions = [one, structs.replace(one, summary="another")]
        names = [place / "first.json", place / "second.json"]
        for name, version in zip(names, versions, strict=True):
            config_file.write(name, version)
        output = place / "output.json"
        for number in range(tries):
            program = [WRITES, *map(str, [*names, output])]
            _until_killed(rng, program, None if number % 2 else names[0].stat().st_size)
            with contextlib.suppress(ConfigFileError):
                whole = not output.exists() or config_file.read(output) in versions
                tally += Tally("", 1, wrong=int(not whole))
                continue
            tally += Tally("", 1, wrong=1)
        config_file.write(output, one)
        tally += Tally("", 0, leaked=len(list(place.iterdir())) - 3)
    return tally._replace(seconds=time.monotonic() - started_s)


def _until_killed(rng: random.Random, program: list[str], most_bytes: int | None) -> list[str]:
    """Run a program that prints a line for each thing done, kill it, and return whole lines.

    It is killed by a signal, or by the kernel in the middle of the write that would make a file
    larger than some size of up to `most_bytes`.
    """

    def limit() -> None:
        assert most_bytes is not None
        most = rng.randrange(1, most_bytes)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    # Python ignores SIGXFSZ unless told otherwise.
    head = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
    code, *arguments = program
    process = subprocess.Popen(
        [sys.executable, "-c", head + code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=None if most_bytes is None else limit,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    if most_bytes is None:
        time.sleep(rng.uniform(0.0, 0.05))
        process.kill()
    rest = process.stdout.read()
    process.stdout.close()
    process.wait()
    text = first + rest
    return text[: text.rfind("\n") + 1].split()
