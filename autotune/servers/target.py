"""The server to search through, as a person names it."""

import shlex
import shutil
import socket
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from autotune.errors import UsageError
from autotune.exports.exporters import EXPORTERS, exporter
from autotune.servers.running import version_of
from autotune.servers.starters import STARTERS
from autotune.servers.verify_policy import demand_installed, is_address
from autotune.spec import Allowed, ModelSpec
from autotune.stages.question import Target
from autotune.target_info import ANY_SERVER

STARTED_AS = {"triton": "triton-python"}
"""What can be started here of a server that cannot itself."""


def find_target(
    server: str | None,
    python: Path | None,
    url: str | None,
    command: str | None,
    model: ModelSpec,
    allowed: Allowed,
) -> Target | None:
    """Return the server to search through; None: none is named.

    Args:
        server: as named for `export`.
        python: the interpreter of its environment; None: this one.
        url: where requests are posted to one that runs already.
        command: what gives that one another configuration.
        model: what it is to serve.
        allowed: what may be tried.

    Raises:
        UsageError: the server is unknown, cannot be started here, is not installed or cannot run
            the model; or options do not go together, or are no address or no command.
        ServerError: there is no such interpreter.
    """
    if server is not None:
        name = STARTED_AS.get(server, server)
        exporter(name)
        _demand_fit(name, server, model, allowed)
    if url is not None or command is not None:
        return _running(server, python, url, command)
    if server is None:
        if python is not None:
            raise UsageError("--python is for a server: name it with --target")
        return None
    if name not in STARTERS:
        raise UsageError(
            f"--target {server} cannot be started here: choose one of {', '.join(STARTERS)}, or "
            "give --url of one that runs with --apply COMMAND, which gives it another configuration"
        )
    here = (python or Path(sys.executable)).absolute()  # it is started in another folder
    runtime = "onnxruntime" if model.is_named_onnx else "torch"
    package = "onnxruntime-gpu" if allowed.device != "cpu" and runtime != "torch" else runtime
    demand_installed(f"--target {server}", name, here, package)
    return Target(
        server=name, python=str(here), version=version_of(here, STARTERS[name].packages[0])
    )


def _running(
    server: str | None, python: Path | None, url: str | None, command: str | None
) -> Target:
    if url is None:
        raise UsageError("--apply is for a server that runs already: give its address with --url")
    if command is None:
        raise UsageError(
            f"--url {url}: give --apply COMMAND, too, which gives the server another configuration"
        )
    if python is not None:
        raise UsageError("--python is for a server that is started here, not for one of --url")
    if not is_address(url):
        raise UsageError(f"--url {url}: write it like http://127.0.0.1:8000/v2/models/M/infer")
    if not _is_here(url):
        raise UsageError(
            f"--url {url}: is not on this machine, whose cores and memory say what can be tried: "
            "search where the server runs"
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--apply {command}: cannot be read: {str(error).lower()}") from None
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            f"--apply {command}: there is no such command; it is run without a shell, in this "
            "folder"
        )
    return Target(
        server=ANY_SERVER if server is None else STARTED_AS.get(server, server),
        python=sys.executable,
        url=url,
        apply=tuple(words),
    )


def _demand_fit(name: str, named: str, model: ModelSpec, allowed: Allowed) -> None:
    """Refuse before anything is measured what the server cannot run.

    Raises:
        UsageError: a torch model, or a device, that it has no use for.
    """
    one = EXPORTERS[name]
    if not model.is_named_onnx and not one.torch:
        fit = [other for other in STARTERS if EXPORTERS[other].torch]
        raise UsageError(
            f"--target {named} cannot run a torch model: choose one of {', '.join(fit)}"
        )
    if allowed.device not in one.providers:
        raise UsageError(f"--target {named} cannot run a model on {allowed.device}")


def _is_here(url: str) -> bool:
    """Whether the host of an address is this machine: a socket can be bound to it."""
    host = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, _, _, address in found:
        try:
            with closing(socket.socket(family, kind)) as one:
                one.bind(address)
            return True
        except OSError:
            continue
    return False
