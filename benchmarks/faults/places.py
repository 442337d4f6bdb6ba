"""Places that fail: full and read-only disks, stores that are old, newer or broken."""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autotune.store.schema import VERSION
from faults.desk import Desk, a_desk
from faults.tally import Tally

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"


@contextmanager
def _small_disk(folder: Path, size_kb: int) -> Iterator[bool]:
    """Put a file system of a few kilobytes there; False where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_store(tries: int, seed: int) -> Tally:
    """Have the disk of the store fill up in mid-search: the answer comes all the same."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("disk full at the store", 0)
    while tally.tries < tries:
        with a_desk() as desk, _small_disk(desk.store.parent, rng.randrange(40, 300)) as is_small:
            if not is_small:
                return tally._replace(note="not tried: no file system may be mounted")
            ended = desk.search()
            warned = "measurements cannot be kept" in ended.err or "are not kept" in ended.err
            tally += Tally(
                "",
                int(warned),  # else it was large enough, and everything must be there
                lost=0 if warned else max(0, ended.measured - desk.records()),
                wrong=int(not desk.is_whole()),
                leaked=desk.left_behind(),
                unclear=int(not ended.is_clear or desk.answer() is None),
            )
    return tally._replace(seconds=time.monotonic() - started_s)


def full_output(tries: int, seed: int) -> Tally:
    """Have no room for the answer: it is printed, and is in the store."""
    started_s = time.monotonic()
    tally = Tally("disk full at the output", 0)
    for _ in range(tries):
        with a_desk() as desk, _small_disk(desk.folder / "data" / "small", 4) as is_small:
            if not is_small:
                return tally._replace(note="not tried: no file system may be mounted")
            output = desk.folder / "data" / "small" / "model.autotune.json"
            ended = desk.search("-o", str(output))
            said = "cannot be written: No space left on device" in ended.complaint
            printed = "Deploy " in ended.out
            again = desk.search()
            kept = "answered from the store" in again.err and desk.answer() is not None
            tally += Tally(
                "",
                1,
                lost=int(not kept),
                wrong=int(output.exists()),
                leaked=desk.left_behind() + desk.litter() + len(list(output.parent.iterdir())),
                unclear=int(not (ended.is_clear and said and printed)),
            )
    return tally._replace(seconds=time.monotonic() - started_s)


def read_only(tries: int, seed: int) -> Tally:
    """Have a read-only disk at the store, and at the output."""
    started_s = time.monotonic()
    tally = Tally("read-only at the store, then at the output", 0)
    for _ in range(tries):
        with a_desk() as desk, _small_disk(desk.folder / "data" / "ro", 400) as is_small:
            if not is_small:
                return tally._replace(note="not tried: no file system may be mounted")
            place = desk.folder / "data" / "ro"
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
            named = desk.search("--store", str(place / "store.sqlite"))
            at_output = desk.search("-o", str(place / "model.autotune.json"))
            desk.environment["XDG_DATA_HOME"] = str(place)
            by_default = desk.search()
            refused = (named.code, at_output.code) == (2, 2)
            said = "Read-only" in named.complaint + at_output.complaint or "unable" in named.err
            went_on = by_default.code in (0, 1) and "are not kept" in by_default.err
            clear = all(one.is_clear for one in (named, at_output, by_default))
            desk.environment["XDG_DATA_HOME"] = str(desk.folder / "data")
            tally += Tally(
                "",
                1,
                leaked=desk.left_behind(),
                unclear=int(not (refused and said and went_on and clear)),
            )
    return tally._replace(seconds=time.monotonic() - started_s)


def broken_store(tries: int, seed: int) -> Tally:
    """Spoil bytes of a store that has a finished search: it is used, or set aside and said."""
    rng, started_s = random.Random(seed), time.monotonic()
    tally = Tally("a store with bytes flipped, cut off or missing", 0)
    with a_desk() as desk:
        desk.search()
        good = desk.store.read_bytes()
        for _ in range(tries):
            _write_spoilt(desk, good, rng)
            ended = desk.search()
            aside = list(desk.store.parent.glob("*.broken-*"))
            said = "was broken" in ended.err
            tally += Tally(
                "",
                1,
                wrong=int(not desk.is_whole()) + int(bool(aside) != said),
                leaked=desk.left_behind(),
                unclear=int(not ended.is_clear),
            )
    return tally._replace(seconds=time.monotonic() - started_s)


def _write_spoilt(desk: Desk, good: bytes, rng: random.Random) -> None:
    for one in desk.store.parent.iterdir():
        one.unlink()
    data = bytearray(good)
    match rng.randrange(3):
        case 0:
            for _ in range(rng.choice([1, 10, 1000])):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 1:
            del data[rng.randrange(len(data)) :]
        case _:
            start = rng.randrange(len(data))
            data[start : start + 5000] = bytes(min(5000, len(data) - start))
    desk.store.write_bytes(data)


def other_versions(tries: int, seed: int) -> Tally:
    """Search with the store of an older autotune, and of a newer one."""
    started_s = time.monotonic()
    tally = Tally("a store of an older version, then of a newer one", 0)
    for _ in range(tries):
        with a_desk() as desk:
            desk.store.parent.mkdir(parents=True)
            shutil.copy(GOLDEN / "v1.store.sqlite", desk.store)
            os.chmod(desk.store, 0o600)
            before = desk.records()
            older = desk.search()
            lost = int(desk.records() <= before)
            with contextlib.closing(sqlite3.connect(desk.store)) as connection:
                connection.execute(f"PRAGMA user_version = {VERSION + 1}")
            kept = desk.store.read_bytes()
            newer = desk.search()
            refused = newer.code == 2 and "upgrade autotune" in newer.complaint
            tally += Tally(
                "",
                1,
                lost=lost,
                wrong=int(desk.store.read_bytes() != kept),
                leaked=desk.left_behind() + desk.litter(),
                unclear=int(not (older.is_clear and newer.is_clear and refused)),
            )
    return tally._replace(seconds=time.monotonic() - started_s)
