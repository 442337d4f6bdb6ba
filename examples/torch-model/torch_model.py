"""Export a torch model to ONNX, tune it, and hold it against plain torch: answers and latency.

pip install -c constraints.txt . -r examples/torch-model/requirements.txt
python examples/torch-model/torch_model.py
"""

import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import autotune

LOAD_RPS = 100
ROUND_S = 0.4
COMPARE_S = 8.0
"""As many rounds as fit."""


def make_model() -> nn.Module:
    """Return a small image classifier. Yours has weights that were learnt; these are drawn."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10),
    ).eval()


def export(model: nn.Module, path: Path) -> None:
    """Write the model as ONNX, with a first dimension that is left open, so that it can batch."""
    torch.onnx.export(
        model,
        # Two images: from one, the exporter would conclude that there is always one.
        (torch.rand(2, 3, 64, 64),),
        path,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        external_data=False,  # the weights in the same file
        verbose=False,
    )


def drive(submit: Callable[[int], Future[Any]], seed: int) -> list[float]:
    """Send requests as independent users do; return how long each took since it was due, in ms."""
    rng = random.Random(seed)
    answers: list[Future[Any]] = []
    latencies_ms: list[Future[float]] = []
    due_s = time.perf_counter()
    for number in range(int(LOAD_RPS * ROUND_S)):
        due_s += rng.expovariate(LOAD_RPS)
        time.sleep(max(0.0, due_s - time.perf_counter()))
        answers.append(submit(number))
        latencies_ms.append(latency(answers[-1], due_s))
    for answer in answers:
        answer.result()  # raises what went wrong
    return [future.result() for future in latencies_ms]


def latency(answer: Future[Any], due_s: float) -> Future[float]:
    """Return a future of the ms from when a request was due until its answer was there."""
    found: Future[float] = Future()
    answer.add_done_callback(lambda _: found.set_result(1e3 * (time.perf_counter() - due_s)))
    return found


def compare(model: nn.Module, tuned: autotune.Tuned, path: Path) -> None:
    """Print whether the answers are equal, and the ratio of latencies, engine over plain torch.

    Plain torch is one thread that takes request after request: `model(x)` as a small server has it.
    """
    images = torch.rand(32, 1, 3, 64, 64)
    ratios: list[npt.NDArray[np.float64]] = []

    def eager(number: int) -> torch.Tensor:
        with torch.inference_mode():
            result: torch.Tensor = model(images[number % 32])
            return result

    with tuned.open(path) as engine, ThreadPoolExecutor(1) as one_thread:

        def ask_engine(number: int) -> Future[Any]:
            return engine.submit({"images": images[number % 32].numpy()})

        def ask_torch(number: int) -> Future[Any]:
            return one_thread.submit(eager, number)

        logits = [ask_engine(number).result()["logits"] for number in range(32)]
        expected = [ask_torch(number).result().numpy() for number in range(32)]
        off = float(np.max(np.abs(np.subtract(logits, expected))) / np.max(np.abs(expected)))
        print(f"Answers differ by {off:.1e} of the largest at most: equal: {off < 1e-3}")
        print("\nround  engine p50, p95 ms  torch p50, p95 ms")
        ends_s = time.monotonic() + COMPARE_S
        while time.monotonic() < ends_s:
            # The same arrivals for both, and every other round the other way round: what else this
            # machine does falls on both alike.
            number = len(ratios)
            order = (ask_engine, ask_torch)[:: (-1) ** number]
            seen_ms = {ask: np.percentile(drive(ask, number), [50, 95]) for ask in order}
            ours_ms, theirs_ms = seen_ms[ask_engine], seen_ms[ask_torch]
            cells = f"{ours_ms[0]:12.2f} {ours_ms[1]:6.2f} {theirs_ms[0]:12.2f} {theirs_ms[1]:6.2f}"
            print(f"{number + 1:5} {cells}", flush=True)
            ratios.append(ours_ms / theirs_ms)
    for name, of_rounds in zip(("p50", "p95"), np.transpose(ratios), strict=True):
        low, middle, high = np.percentile(of_rounds, [0, 50, 100])
        print(f"{name}, engine over torch: x{middle:.2g}, from x{low:.2g} to x{high:.2g}")


def main() -> None:
    """Make, export, tune, compare."""
    path = Path(tempfile.mkdtemp(prefix="autotune-torch-")) / "model.onnx"
    model = make_model()
    export(model, path)
    print(f"Exported to {path}", flush=True)
    tuned = autotune.search(
        path,
        slo_ms=50,
        loads_rps=LOAD_RPS,
        budget_s=12,
        output=path.with_suffix(".autotune.json"),
        progress=True,
    )
    print(tuned)
    print(f"\nServing {tuned.config().describe()} at {LOAD_RPS} requests/s", flush=True)
    compare(model, tuned, path)


if __name__ == "__main__":
    main()
