"""Which server a search goes through, and what is refused before anything is measured."""

import sys
from pathlib import Path

import pytest

from autotune.errors import UsageError
from autotune.servers import target as target_module
from autotune.servers.target import find_target
from autotune.spec import Allowed, ModelSpec
from autotune.target_info import ANY_SERVER

ONNX, TORCH = ModelSpec(path="a.onnx"), ModelSpec(path="a.pt2")
URL = "http://127.0.0.1:8000/v2/models/m/infer"


def find(
    server: str | None = None,
    python: str | None = None,
    url: str | None = None,
    command: str | None = None,
    model: ModelSpec = ONNX,
) -> object:
    return find_target(server, Path(python) if python else None, url, command, model, Allowed())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"server": "litserv"}, "no server 'litserv'.*did you mean 'litserve'"),
        ({"server": "kserve"}, "--target kserve cannot be started here: choose one of"),
        ({"server": "mlserver"}, "--target mlserver is not installed .*: pip install mlserver"),
        ({"server": "openvino", "model": TORCH}, "--target openvino cannot run a torch model"),
        ({"command": "true"}, "--apply is for a server that runs already"),
        ({"url": URL}, f"--url {URL}: give --apply COMMAND, too"),
        ({"server": "litserve", "url": "x", "command": "true"}, "--url x: write it like http"),
        ({"url": URL, "command": "true", "python": "/usr/bin/python3"}, "--python is for a server"),
        ({"python": "/usr/bin/python3"}, "--python is for a server: name it with --target"),
        ({"url": URL, "command": "no-such-command -x"}, "--apply no-such-command -x: there is no"),
        ({"url": URL, "command": "say 'a"}, "--apply say 'a: cannot be read: no closing quotation"),
        ({"url": URL, "command": ""}, "--apply : there is no such command"),
        ({"url": "http://192.0.2.1/x", "command": "true"}, "192.0.2.1/x: is not on this machine"),
        ({"url": "http://no.such.invalid/x", "command": "true"}, "is not on this machine"),
    ],
)
def test_mistakes_are_one_line(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        find(**given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_device_that_a_server_has_no_use_for_is_refused() -> None:
    with pytest.raises(UsageError, match="--target openvino cannot run a model on cuda"):
        find_target("openvino", None, None, None, ONNX, Allowed(device="cuda"))


def test_without_a_server_there_is_none() -> None:
    assert find() is None


def test_a_server_that_is_started_here_has_a_version() -> None:
    found = find_target("onnxruntime", None, None, None, ONNX, Allowed())
    assert found is not None
    assert (found.server, found.python, found.url) == ("onnxruntime", sys.executable, None)
    assert found.version is not None


def test_triton_means_what_can_be_started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "demand_installed", lambda *of: None)
    monkeypatch.setattr(target_module, "version_of", lambda python, package: package)
    found = find_target("triton", None, None, None, ONNX, Allowed())
    assert found is not None
    assert (found.server, found.version) == ("triton-python", "nvidia-pytriton")


def test_a_server_at_an_address_is_any_unless_it_is_named() -> None:
    found = find_target(None, None, URL, "true --port '1 2'", ONNX, Allowed())
    assert found is not None
    assert (found.server, found.url, found.apply) == (ANY_SERVER, URL, ("true", "--port", "1 2"))
    named = find_target("litserve", None, "http://localhost:1/x", "true", ONNX, Allowed())
    assert named is not None
    assert named.server == "litserve"
