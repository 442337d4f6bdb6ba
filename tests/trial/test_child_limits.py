"""What a real child refuses a model: memory that is not there, network, descriptors, secrets."""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotune.records import Failed
from autotune.spec import ModelSpec
from autotune.trial import wire
from autotune.trial.spawn import Child

pytest.importorskip("torch")

MODEL = """
import os, torch, urllib.request
held = []
class Small(torch.nn.Module):
    def forward(self, x):
        return x + 1
class Opens(Small):
    def forward(self, x):
        held.extend(os.open("/dev/null", 0) for _ in range(10 ** 6))
class Grows(Small):
    def forward(self, x):
        return torch.ones(1 << 40, dtype=torch.uint8)
def small(): return Small(), torch.ones(1, 2)
def opens(): return Opens(), torch.ones(1, 2)
def grows(): return Grows(), torch.ones(1, 2)
def hoards():
    held.append(bytearray(1 << 40))
def fetches(): urllib.request.urlopen("http://192.0.2.1/weights", timeout=5)
def looks_up(): urllib.request.urlopen("http://example.com/weights", timeout=5)
def asks(): raise ValueError(f"{os.environ['GIVEN']} {os.environ.get('API_TOKEN')}")
"""


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One that may import the functions."""
    folder = tmp_path_factory.mktemp("functions")
    (folder / "made.py").write_text(MODEL)
    before = dict(os.environ)
    os.environ |= {"AUTOTUNE_PASS_ENV": "GIVEN", "GIVEN": "passed", "API_TOKEN": "secret"}
    one = Child({"PYTHONPATH": f"{folder}{os.pathsep}{os.pathsep.join(sys.path)}"})
    os.environ.clear()
    os.environ.update(before)
    yield one
    one.close()


def inspected(child: Child, function: str) -> wire.Reply:
    model = ModelSpec(path=__file__, function=f"made:{function}")
    return child.ask(wire.Inspect(model=model, outputs_folder=""), 60.0)


def refused(child: Child, function: str) -> str:
    reply = inspected(child, function)
    assert isinstance(reply, wire.Refused), reply
    return reply.message


def test_a_variable_that_was_named_passes_and_a_secret_does_not(child: Child) -> None:
    assert refused(child, "asks").endswith("ValueError: passed None")


@pytest.mark.parametrize("function", ["fetches", "looks_up"])
def test_there_is_no_network_and_that_is_said(child: Child, function: str) -> None:
    message = refused(child, function)
    assert message.endswith("; a model is run without network: fetch what it needs beforehand")


@pytest.mark.parametrize("function", ["hoards", "grows"])
def test_a_model_that_wants_more_memory_than_there_is_is_told_so(
    child: Child, function: str
) -> None:
    reply = inspected(child, function)
    assert isinstance(reply, Failed), reply
    assert reply.kind == "out_of_memory"
    assert reply.detail.startswith("needs more memory than the ")
    assert child.alive


def test_a_model_that_opens_files_without_end_fails_alone(child: Child) -> None:
    before = len(os.listdir("/proc/self/fd"))
    assert "Too many open files" in refused(child, "opens")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_small_model_runs_within_all_limits(child: Child) -> None:
    child.close()
    one = Child({"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        assert isinstance(one.ask(wire.Idle(duration_s=0.0), 30.0), wire.Idled)
        assert resource.prlimit(one.pid, resource.RLIMIT_CORE) == (0, 0)
        status = Path(f"/proc/{one.pid}/status").read_text()
        assert "\nSeccomp:\t2\n" in status
        assert "\nNoNewPrivs:\t1\n" in status
        assert len(os.listdir(f"/proc/{one.pid}/fd")) == 5  # and none but pipe and log
    finally:
        one.close()
