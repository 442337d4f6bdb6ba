"""Torch models in child processes, and in workers below them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from below import environment, measured, workers

from autotune.outcome import Measured, ServiceTimes
from autotune.records import Failed
from autotune.spec import Form, ModelSpec, ReplicasAs, ServingConfig
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

pytestmark = pytest.mark.slow
pytest.importorskip("torch", reason="torch is not installed")

SOURCE = """
import torch

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x):
        if x.shape[0] > 8:
            torch.empty(1 << 50)
        return self.layers(x).flatten(1)

def build():
    return Tiny(), {"x": torch.rand(1, 3, 32, 32)}

def plain():
    return Tiny().layers, {"input": torch.rand(1, 3, 32, 32)}
"""
FORMS: list[tuple[Form, int]] = [("as_given", 1), ("exported", 2)]
SAMPLE = ClosedLoop(busy=1, batch_size=1, duration_s=0.1, min_runs=5)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench of a module that a function builds, which the children import from here."""
    yield from bench_of("build", tmp_path, monkeypatch)


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Likewise, of one without conditions, as compilers like it."""
    yield from bench_of("plain", tmp_path, monkeypatch)


def bench_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    path = folder / "tiny.py"
    path.write_text(SOURCE)
    monkeypatch.chdir(folder)
    with Bench(ModelSpec(path=str(path), function=f"tiny:{name}")) as bench:
        info = bench.inspect()
        assert info.runtime.startswith("torch ")
        assert info.batchable
        yield bench


def alone(replicas_as: ReplicasAs, form: Form = "as_given", batch_size: int = 1) -> ServingConfig:
    return ServingConfig(
        intra_op_threads=1, replicas_as=replicas_as, form=form, max_batch_size=batch_size
    )


@pytest.mark.parametrize("replicas_as", ["threads", "processes"])
def test_it_is_served_and_a_batch_without_memory_for_it_is_known_as_such(
    bench: Bench, replicas_as: ReplicasAs
) -> None:
    outcome = measured(bench, alone(replicas_as, batch_size=16))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "out_of_memory"
    assert f"{1 << 52} bytes" in outcome.detail
    calm = ServingConfig(replicas=2, intra_op_threads=2, spinning=False, replicas_as=replicas_as)
    assert isinstance(measured(bench, calm), Measured)
    assert len(workers()) == (2 if replicas_as == "processes" else 0)
    for pid in workers():
        assert environment(pid)["OMP_WAIT_POLICY"] == "PASSIVE"


def test_compiling_is_counted_shared_and_leaves_nothing_behind(plain: Bench) -> None:
    before = set(Path(tempfile.gettempdir()).iterdir())
    for form, replicas in FORMS:
        assert plain.compiled_s == 0
        shape = alone("processes", form).session_shape
        shape = msgspec.structs.replace(shape, replicas=replicas)
        assert isinstance(plain.service_times(shape, SAMPLE, timeout_s=240), ServiceTimes)
    once_s = plain.compiled_s
    assert once_s > 0.1
    one = alone("threads", "exported").session_shape
    assert isinstance(plain.service_times(one, SAMPLE, timeout_s=240), ServiceTimes)
    assert plain.compiled_s == once_s
    plain.close()
    left = {path.name for path in set(Path(tempfile.gettempdir()).iterdir()) - before}
    assert not [name for name in left if "torch" in name or "aoti" in name]
