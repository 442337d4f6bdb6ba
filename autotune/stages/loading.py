"""The first look at a model, which of a large one takes its time."""

from pathlib import Path

from autotune.outcome import ModelInfo
from autotune.spec import Slo
from autotune.stages.events import Loading, Observer, Said
from autotune.trial.measures import Measures

LOADING_S, SLOW_DISK_BYTES_PER_S, RUNS = 60.0, 1e7, 100


def inspect_model(name: str, slo: Slo, bench: Measures, observe: Observer) -> ModelInfo:
    """Load and run the model called `name`, and tell how far this and later loading has come.

    Raises:
        ModelError, UsageError: the model or its inputs cannot be used.
    """
    observe(Loading(name=name, slo=slo, bytes=size_bytes(Path(bench.model.path))))
    if bench.model.function is not None:
        text = f"running code of yours: {bench.model.function}, from {bench.model.path}"
        observe(Said(text=text))
    bench.report_to(observe)
    if bench.model.is_named_onnx:
        bench.limit_loading(longest_loading_s(size_bytes(Path(bench.model.path)), slo))
    return bench.inspect()


def longest_loading_s(size: int, slo: Slo) -> float:
    """Return for how long a file of so many bytes may be loaded, and run some dozen times.

    One that takes longer hangs, or is too slow for its SLO by far.
    """
    return LOADING_S + size / SLOW_DISK_BYTES_PER_S + RUNS * slo.latency_ms / 1e3


def size_bytes(path: Path) -> int:
    """Return the size of the model with its external data, if that is named as exporters do.

    These are `model.onnx.data` and `model.onnx_data`; files of other names are not counted.
    """
    files = [path, *(Path(f"{path}{suffix}") for suffix in (".data", "_data"))]
    return sum(file.stat().st_size for file in files if file.is_file())
