"""Models of different architectures, generated: nothing is fetched, weights are drawn from a seed.

`python benchmarks/starter/architectures.py FOLDER` writes them and prints what each is like. All
take requests together; encoders and recurrent models leave the length open as well. One request
takes one core of a current server from about 0.3 to 30 ms, but for trees, which take less.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import onnx
from onnx import ModelProto

from autotune.models.loading import open_replica
from autotune.models.onnx_graph import read_graph
from autotune.models.onnx_work import measure_work
from autotune.models.sample_inputs import make_samples
from autotune.spec import ModelSpec, ServingConfig

if __name__ == "__main__":  # Python looks for modules in this folder, and not beside it
    sys.path[0] = str(Path(__file__).parents[1])

from starter import graphs

Family = Literal[
    "convolution", "depthwise", "branches", "transformer", "recurrent", "perceptron", "trees"
]
ONE_THREAD = ServingConfig(intra_op_threads=1).session_shape
_RUNS = 5


class Architecture(NamedTuple):
    """A model that can be made."""

    name: str
    family: Family
    make: Callable[[int], ModelProto]
    """From a seed."""
    shapes: dict[str, list[int]] = {}  # noqa: RUF012 - nobody writes there
    """Of a request, where the model leaves more open than the batch."""

    def write(self, folder: Path, seed: int = 0) -> ModelSpec:
        """Write the model and return what a request to it looks like."""
        path = folder / f"{self.name}.onnx"
        onnx.save(self.make(seed), path)
        return ModelSpec(path=str(path), shapes=self.shapes)


def _encoder(name: str, hidden: int, layers: int, length: int) -> Architecture:
    def make(seed: int) -> ModelProto:
        return graphs.transformer(seed, hidden, layers)

    return Architecture(name, "transformer", make, {"x": [1, length, hidden]})


def _recurrent(name: str, kind: str, hidden: int, layers: int, steps: int) -> Architecture:
    def make(seed: int) -> ModelProto:
        return graphs.recurrent(seed, kind, hidden, layers)

    return Architecture(name, "recurrent", make, {"x": [1, steps, hidden // 2]})


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        "vgg_small", "convolution", lambda seed: graphs.plain_convolution(seed, 48, (16, 32))
    ),
    Architecture(
        "resnet_medium", "convolution", lambda seed: graphs.residual(seed, 96, (32, 64, 128))
    ),
    Architecture(
        "resnet_large", "convolution", lambda seed: graphs.residual(seed, 144, (64, 128, 256))
    ),
    Architecture("mobilenet_small", "depthwise", lambda seed: graphs.depthwise(seed, 64, 8, 6)),
    Architecture("mobilenet_medium", "depthwise", lambda seed: graphs.depthwise(seed, 128, 16, 9)),
    Architecture("mobilenet_large", "depthwise", lambda seed: graphs.depthwise(seed, 224, 32, 12)),
    Architecture("inception_small", "branches", lambda seed: graphs.branches(seed, 48, 8, 3)),
    Architecture("inception_medium", "branches", lambda seed: graphs.branches(seed, 96, 24, 4)),
    Architecture("inception_large", "branches", lambda seed: graphs.branches(seed, 160, 48, 6)),
    _encoder("encoder_small", 64, 3, 64),
    _encoder("encoder_medium", 192, 4, 64),
    _encoder("encoder_large", 384, 6, 128),
    _recurrent("gru_small", "GRU", 128, 1, 48),
    _recurrent("lstm_medium", "LSTM", 192, 2, 40),
    _recurrent("lstm_large", "LSTM", 384, 3, 80),
    Architecture("mlp_deep_small", "perceptron", lambda seed: graphs.perceptron(seed, 128, 60)),
    Architecture("mlp_wide_medium", "perceptron", lambda seed: graphs.perceptron(seed, 1024, 6)),
    Architecture("mlp_wide_large", "perceptron", lambda seed: graphs.perceptron(seed, 1536, 12)),
    Architecture("trees_small", "trees", lambda seed: graphs.trees(seed, 100, 6)),
    Architecture("trees_medium", "trees", lambda seed: graphs.trees(seed, 300, 8)),
    Architecture("trees_large", "trees", lambda seed: graphs.trees(seed, 800, 9)),
)


class Row(NamedTuple):
    """What one is like."""

    mflops: float
    weights_mb: float
    request_ms: float
    """On one core, the best of a few."""


def look_at(spec: ModelSpec) -> Row:
    """Load a model and run a request some times."""
    graph = read_graph(Path(spec.path))
    assert graph is not None
    loaded = open_replica(spec, ONE_THREAD)
    request = make_samples(loaded.inputs, spec, None)[0]
    took_ms = []
    for _ in range(_RUNS):
        started_s = time.perf_counter()
        loaded.infer(request)
        took_ms.append(1e3 * (time.perf_counter() - started_s))
    work = measure_work(spec.path, ONE_THREAD, request)
    return Row(sum(work.flops.values()) / 1e6, graph.weight_bytes / 1e6, min(took_ms))


def main(folder: Path) -> None:
    """Write all of them; print a line each."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'model':17} {'family':12} {'MFLOP':>8} {'weights MB':>10} {'ms on one core':>14}")
    for one in ARCHITECTURES:
        row = look_at(one.write(folder))
        print(
            f"{one.name:17} {one.family:12} {row.mflops:8.2f} {row.weights_mb:10.2f} "
            f"{row.request_ms:14.2f}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/starter/architectures.py FOLDER")
    main(Path(sys.argv[1]))
