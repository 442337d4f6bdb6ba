"""Two pull requests before the gate: one leaves the model as it is, one makes it slower.

pip install -c constraints.txt . magika onnx pyyaml
python examples/ci/pull_request.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import yaml
from onnx import TensorProto, compose, helper

HERE = Path(__file__).parent
BUDGET = "26s"
"""Little more than the shortest that `autotune check` takes; give it the 60 s of the workflow."""


def make_repository(folder: Path, cpu: int) -> None:
    """Lay out what a team keeps: the model, the file that it was tuned to, and the workflow."""
    workflow = folder / ".github" / "workflows" / "autotune.yml"
    workflow.parent.mkdir(parents=True)
    shutil.copy(HERE / "github-actions.yml", workflow)
    (model,) = (file for file in files("magika") or [] if file.suffix == ".onnx")
    shutil.copy(str(model.locate()), folder / "model.onnx")
    options = ["--slo", "500ms", "--load", "8", "--budget", "10s"]
    search = [sys.executable, "-m", "autotune", "search", "model.onnx", *options]
    subprocess.run([*on_cpu(cpu), *search], cwd=folder, check=True)


def on_cpu(cpu: int) -> list[str]:
    """Return what holds a command to one CPU: a runner's machine, for want of a second one."""
    return ["taskset", "-c", str(cpu)]


def start_gate(folder: Path, cpu: int) -> subprocess.Popen[str]:
    """Run the lines of the workflow that check, as a runner would."""
    job = yaml.safe_load((folder / ".github/workflows/autotune.yml").read_text())["jobs"]["check"]
    (check,) = (step["run"] for step in job["steps"] if "autotune check" in step.get("run", ""))
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {"GITHUB_STEP_SUMMARY": "summary.md", "PATH": beside_python, "BUDGET": BUDGET}
    if len(os.sched_getaffinity(0)) > 1:  # else one would wait for the other, which has its own CPU
        given["AUTOTUNE_ALLOW_SHARED"] = "yes"
    return subprocess.Popen(
        [*on_cpu(cpu), "bash", "-e", "-o", "pipefail", "-c", check],
        cwd=folder,
        env={**os.environ, **job["env"], **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def make_slower(path: Path, passes: int) -> None:
    """Let the model compute its answers several times over: the same answers, for more.

    Each pass adds nothing, 0 x the answers before, to its input: the runtime would notice passes
    that have nothing to do with each other, and compute one.
    """
    model = onnx.load(path)
    (given,), (answered,) = model.graph.input, model.graph.output
    elements = given.type.tensor_type.elem_type
    nodes = [helper.make_node("Identity", [given.name], ["pass0/" + given.name])]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    initializers = [zero]
    for number in range(passes):
        name = f"pass{number}/"
        graph = compose.add_prefix(model, name).graph
        nodes += graph.node
        initializers += graph.initializer
        if number + 1 < passes:
            after = f"pass{number + 1}/"
            nodes += [
                helper.make_node("ReduceMax", [name + answered.name], [name + "max"], axes=[1]),
                helper.make_node("Mul", [name + "max", "zero"], [name + "nothing"]),
                helper.make_node("Cast", [name + "nothing"], [name + "cast"], to=elements),
                helper.make_node("Add", [given.name, name + "cast"], [after + given.name]),
            ]
    last = f"pass{passes - 1}/{answered.name}"
    nodes.append(helper.make_node("Identity", [last], [answered.name]))
    graph = helper.make_graph(nodes, "slower", [given], [answered], initializers)
    slower = helper.make_model(graph, opset_imports=model.opset_import)
    slower.ir_version = model.ir_version
    onnx.save(slower, path)


def answers(path: Path) -> npt.NDArray[np.float32]:
    """Return what the model says of some made-up files."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    contents = np.random.default_rng(0).integers(0, 257, (4, 2048), np.int32)
    (probabilities,) = session.run(None, {"bytes": contents})
    return np.asarray(probabilities, np.float32)


def tell(folder: Path, gate: subprocess.Popen[str]) -> int:
    """Print what a gate said, and what reviewers see of it; return its exit code."""
    printed, progress = gate.communicate()
    sys.stderr.write(progress)
    print(f"{printed}exit code {gate.returncode}")
    for name in ("summary.md", "autotune.xml"):
        if (folder / name).exists():  # not where the gate was given something wrong
            print(f"\n-- {name}\n{(folder / name).read_text()}")
    return gate.returncode


def main() -> int:
    """Show both pull requests to the gate; return 0 if it tells them apart."""
    folder = Path(tempfile.mkdtemp(prefix="autotune-gate-"))
    cpus = sorted(os.sched_getaffinity(0))
    print(f"== The repository, in {folder}", flush=True)
    make_repository(folder / "main", cpus[0])
    unchanged, slower = (folder / name for name in ("unchanged", "slower"))
    for branch in (unchanged, slower):
        shutil.copytree(folder / "main", branch)
    make_slower(slower / "model.onnx", passes=3)
    same = np.array_equal(answers(unchanged / "model.onnx"), answers(slower / "model.onnx"))
    gates = [start_gate(unchanged, cpus[0]), start_gate(slower, cpus[-1])]
    print("\n== Pull request 1 leaves model.onnx as it is", flush=True)
    passed = tell(unchanged, gates[0])
    print(f"\n== Pull request 2: model.onnx computes thrice; answers equal: {same}", flush=True)
    stopped = tell(slower, gates[1])
    return 0 if (passed, stopped) == (0, 3) else 1


if __name__ == "__main__":
    sys.exit(main())
