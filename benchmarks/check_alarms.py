"""How often `autotune check` raises a false alarm, and how often it sees a model grown heavier.

    python benchmarks/check_alarms.py [CHECKS] [BUDGET]

Each check is a whole run of the command against one tuned file: of the unchanged model, of it
beside a neighbour that keeps a core busy for half of the time, and of a model of the same shape
with 20 % more to compute, under the same name. The kinds take turns, so that what else this
machine goes through falls on all alike. A made-up model: two convolutions, 1.3 ms on one thread of
the machine that the table is from.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = ("unchanged", "beside a neighbour", "20 % heavier")
CHANNELS = 160
"""ONNX Runtime computes in blocks of 16: both sizes are whole blocks."""
ANSWERS = {0: "holds", 1: "SLO missed", 3: "regression", 4: "undecided", 5: "stale"}
NEIGHBOUR = """
import time
while True:
    until = time.monotonic() + 0.25
    while time.monotonic() < until:
        sum(range(1000))
    time.sleep(0.25)
"""


def made_up(path: Path, repeats: float) -> Path:
    """Save a model whose work is `repeats` times that of the plain one."""
    rng = np.random.default_rng(0)
    channels = round(CHANNELS * repeats)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array((rng.random(shape) * 0.01).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "a"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["h", "b"], ["y"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 32, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 32, 28, 28])],
        initializer=[weights("a", channels, 32, 3, 3), weights("b", 32, channels, 3, 3)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def command(*arguments: str) -> list[str]:
    """Return a run of autotune."""
    return [sys.executable, "-m", "autotune", *arguments]


def check(tuned: Path, model: Path, kind: str, budget: str) -> tuple[str, float]:
    """Return what one check answers, and the ratio of the executions that it saw."""
    neighbour = None
    if kind == "beside a neighbour":
        neighbour = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        arguments = (str(tuned), str(model), "--budget", budget, "--stale", "warn", "--json")
        done = subprocess.run(command("check", *arguments), capture_output=True, text=True)
    finally:
        if neighbour is not None:
            neighbour.kill()
            neighbour.wait()
    return ANSWERS[done.returncode], json.loads(done.stdout)["execution"]["ratio"]


def main(checks: int = 30, budget: str = "30s") -> None:
    """Tune once, check many times, print the table."""
    with tempfile.TemporaryDirectory() as folder:
        plain = made_up(Path(folder) / "model.onnx", 1.0)
        heavy = made_up(Path(folder) / "heavier.onnx", 1.2)
        tuned = Path(folder) / "model.autotune.json"
        search = command("search", str(plain), "--slo", "100ms", "--fresh", "-o", str(tuned))
        subprocess.run(search, check=True, capture_output=True)
        answers: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
        started_s = time.monotonic()
        for number in range(checks):
            for kind in KINDS:
                model = heavy if kind.startswith("20") else plain
                answer, ratio = check(tuned, model, kind, budget)
                answers[kind][answer] += 1
                ratios[kind].append(ratio)
            print(number + 1, f"{time.monotonic() - started_s:.0f} s", answers, flush=True)
    print(
        "| model | checks | holds | false alarm or caught | undecided | execution, median [range] |"
    )
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        one, seen = answers[kind], ratios[kind]
        alarms = one["SLO missed"] + one["regression"]
        spread = f"x{np.median(seen):.2f} [{min(seen):.2f}-{max(seen):.2f}]"
        print(f"| {kind} | {checks} | {one['holds']} | {alarms} | {one['undecided']} | {spread} |")


if __name__ == "__main__":
    main(*(int(one) if one.isdigit() else one for one in sys.argv[1:]))  # type: ignore[arg-type]
