"""Where searches are run that meet faults: a folder with a model, a store, and nothing else.

All processes of a desk carry the folder's name in their environment, so that any that is left
behind is found, wherever it went.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.errors import ConfigFileError
from autotune.store.database import UNREADABLE

LAYERS, WIDTH = 3, 192
SEARCH = ("--slo", "50ms", "--load", "60", "--budget", "4s", "--trials", "2")
"""A search of a few seconds, most of which goes by profiling."""
GONE_WITHIN_S = 5.0
"""For all processes to be gone after the one that was killed."""
INTERNALS = ("Traceback", "<class '", "object at 0x")


class Ended(NamedTuple):
    """A run of the command line that has ended."""

    code: int
    """Exit code; negative: killed by this signal."""
    out: str
    err: str

    @property
    def is_clear(self) -> bool:
        """Whether it answered, or said in one line what was wrong."""
        if any(text in self.err for text in INTERNALS):
            return False
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return (self.code in (0, 1) and not errors) or (self.code == 2 and len(errors) == 1)

    @property
    def complaint(self) -> str:
        """The line that says what was wrong; empty: none does."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return lines[-1] if lines else ""

    @property
    def measured(self) -> int:
        """Measurements that it told of."""
        return sum(
            line.startswith(("profile: ", "search ", "confirm ")) and " ms" in line
            for line in self.err.splitlines()
        )


class Desk:
    """A folder, the model in it, and the runs that are made there."""

    def __init__(self, folder: Path) -> None:
        """Make the model."""
        self.folder = folder
        self.model = folder / "model.onnx"
        self.output = folder / "model.autotune.json"
        self.store = folder / "data" / "autotune" / "store.sqlite"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        save_model(self.model)
        self.environment = {
            **os.environ,
            "XDG_DATA_HOME": str(folder / "data"),
            "TMPDIR": str(self.temporary),
        }

    def start(
        self, *more: str, model: str | None = None, shared: bool = True
    ) -> "subprocess.Popen[bytes]":
        """Start a search, its output in files."""
        asked = [*SEARCH, *(["--allow-shared"] if shared else []), "-v", "-o", str(self.output)]
        search = [sys.executable, "-m", "autotune", "search", model or str(self.model)]
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            return subprocess.Popen(
                [*search, *asked, *more],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def ended(self, process: "subprocess.Popen[bytes]", timeout_s: float = 120.0) -> Ended:
        """Wait for a run; one that takes longer is killed, and its code is that of the signal."""
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        texts = [(self.folder / name).read_text(errors="replace") for name in ("out", "err")]
        return Ended(process.returncode, *texts)

    def search(self, *more: str, model: str | None = None) -> Ended:
        """Run a search to its end."""
        return self.ended(self.start(*more, model=model))

    def processes(self) -> list[int]:
        """Return all processes that came from here and still run."""
        found, mark = [], f"XDG_DATA_HOME={self.folder / 'data'}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return [pid for pid in found if not _is_zombie(pid)]

    def left_behind(self) -> int:
        """Count the processes that are not gone soon; they are killed."""
        deadline_s = time.monotonic() + GONE_WITHIN_S
        while (pids := self.processes()) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def litter(self) -> int:
        """Count files that are neither the model, the store, nor the answer."""
        known = {"model.onnx", self.output.name, "data", "tmp", "out", "err"}
        stray = [one for one in self.folder.iterdir() if one.name not in known]
        return len(stray) + len(list(self.temporary.iterdir()))

    def records(self, *kinds: str) -> int:
        """Count what the store has of some kinds; of none: of measurements."""
        if not self.store.exists():
            return 0
        wanted = ", ".join(f"'{kind}'" for kind in kinds or ("service_times", "measure"))
        with contextlib.closing(sqlite3.connect(self.store)) as connection:
            try:
                query = f"SELECT count(*) FROM records WHERE kind IN ({wanted})"
                return int(connection.execute(query).fetchone()[0])
            except sqlite3.OperationalError:
                return 0  # not even its tables were made

    def is_whole(self) -> bool:
        """Whether the store is sound, and the output a whole file or none."""
        if self.output.exists() and self.answer() is None:
            return False
        if not self.store.exists():
            return True
        with contextlib.closing(sqlite3.connect(self.store)) as connection:
            try:
                return bool(connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
            except UNREADABLE:
                return False

    def answer(self) -> TunedFile | None:
        """Return what was written; None: nothing that can be read."""
        try:
            return config_file.read(self.output)
        except ConfigFileError:
            return None

    def forget_answer(self) -> None:
        """Have the next search compute its answer again from what is stored."""
        with contextlib.closing(sqlite3.connect(self.store)) as connection, connection:
            connection.execute("UPDATE searches SET answer = NULL")
        self.output.unlink(missing_ok=True)


@contextmanager
def a_desk() -> Iterator[Desk]:
    """Yield a desk in a folder of its own, and leave nothing of it."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    desk = Desk(folder)
    try:
        yield desk
    finally:
        desk.left_behind()
        shutil.rmtree(folder, ignore_errors=True)


def save_model(path: Path) -> None:
    """Write a small network; without a batch axis there is less to profile."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for layer in range(LAYERS):
        values = (rng.standard_normal((WIDTH, WIDTH)) * 0.05).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]))
        nodes.append(helper.make_node("Relu", [f"m{layer}"], [last := f"r{layer}"]))
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH]) for name in ("x", last)
    )
    graph = helper.make_graph(nodes, "net", [x], [y], initializer=weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] in ("Z", "X")
    return True
