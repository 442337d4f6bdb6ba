"""Children that crash, hang, leak, fork, print garbage or run out of something."""

import importlib.util
import random
import shutil
import time
from pathlib import Path

from faults.desk import a_desk
from faults.tally import Tally

KINDS = {
    "crash": "SIGSEGV in the model",
    "unmap": "a write to where no memory is",
    "end": "the model ends its process",
    "hang": "the model never returns",
    "leak": "the model takes all memory (a limit ends it)",
    "leak_slowly": "the model takes more memory with every run",
    "fork": "the model leaves a daemon behind",
    "garbage": "the model writes garbage on the pipe",
    "print_on": "the model prints 80 kB of terminal escapes with each run",
    "descriptors": "the model opens files until none is left",
    "raise_it": "the model raises SystemExit",
}
LATEST_S = 4.0
"""After the model was made: some processes live that long, while others are gone by then."""
ENDS_WITHIN_S = 600.0
"""A search of a few seconds, one of whose children hangs for as long as it may."""


def misbehaving(kind: str, tries: int, seed: int) -> Tally:
    """Search with a model that misbehaves from a random moment on."""
    rng, started_s = random.Random(f"{kind} {seed}"), time.monotonic()
    tally = Tally(KINDS[kind], 0)
    if importlib.util.find_spec("torch") is None:
        return tally._replace(note="not tried: no torch")
    while tally.tries < tries:
        with a_desk() as desk:
            code = desk.folder / "data" / "code"
            code.mkdir(parents=True)
            shutil.copy(Path(__file__).with_name("misbehaving.py"), code)
            mark = code / "mark"
            desk.environment |= {
                "PYTHONPATH": str(code),
                "MISBEHAVE": kind,
                "MISBEHAVE_AFTER_S": str(rng.uniform(0.0, LATEST_S)),
                "MISBEHAVE_MARK": str(mark),
                "AUTOTUNE_PASS_ENV": "MISBEHAVE,MISBEHAVE_AFTER_S,MISBEHAVE_MARK",
            }
            more = ("--shape", "x=1x16")
            ended = desk.ended(desk.start(*more, model="misbehaving:build"), ENDS_WITHIN_S)
            clean = "\x1b" not in ended.err + ended.out and "running code of yours" in ended.err
            tally += Tally(
                "",
                int(mark.exists()),  # else every process had ended before
                lost=max(0, ended.measured - desk.records()),
                wrong=int(not desk.is_whole()),
                leaked=desk.left_behind() + desk.litter(),
                unclear=int(not ended.is_clear or not clean),
            )
    return tally._replace(seconds=time.monotonic() - started_s)
