"""For real: from a script without a guard, from within a running event loop, from a thread."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import asyncio, json, signal, sys, threading
import autotune
import numpy as np

model, array = sys.argv[1], np.zeros((1, 256), np.float32)
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


def measure(**more):
    found = autotune.measure(
        model, slo_ms=500, percentile=90, load_rps=400, duration_s=1, intra_op_threads=1, **more
    )
    return found.record.model, found.record.sides[0].summary.requests > 100


async def as_in_a_notebook():
    return [measure(input={"x": array}), await asyncio.to_thread(measure)]


seen = asyncio.run(as_in_a_notebook())
assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
assert threading.active_count() == 1 + sum(
    thread.name.startswith("asyncio") for thread in threading.enumerate()
)
print(json.dumps(seen))
"""


def test_a_script_without_a_guard_measures_in_a_loop_and_in_a_thread(
    mlp: Path, tmp_path: Path
) -> None:
    script = tmp_path / "notebook.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(script), str(mlp)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == [[str(mlp), True], [str(mlp), True]]


SEARCH = """
import sys
import autotune
import numpy as np
from autotune.stages import gate_rounds

gate_rounds.MIN_WINDOW_S = 0.2  # or a check takes half a minute
model, output = sys.argv[1:3]
tuned = autotune.search(
    model, slo_ms=500, loads_rps=50, budget_s=10, output=output, progress=True,
    input={"x": np.zeros((1, 256), np.float32)},
)
assert autotune.load(output, model=model, stale="error").file == tuned.file
assert tuned.file.model.request_source.startswith("100 % arrays given in Python (sha256 ")
assert "/" not in tuned.file.model.request_source
assert tuned.file.repeat is None
found = autotune.check(
    tuned, model, budget_s=18, input={"x": np.zeros((1, 256), np.float32)}, tolerance=0.9
)
assert not [note for note in found.record.notes if "requests are" in note]
print(tuned)
"""


@pytest.mark.slow
def test_a_search_is_written_loaded_and_checked(mlp: Path, tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text(SEARCH)
    command = [sys.executable, "search.py", str(mlp), "a.autotune.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "first answer" in done.stderr
    assert "Deploy " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 or str(mlp) in done.stdout
