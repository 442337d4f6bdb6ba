"""Every configuration of a tuned file's policy on one server, as `autotune verify` asks for it."""

import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from autotune import model_file
from autotune.config_file import PolicyEntry, TunedFile
from autotune.errors import UsageError
from autotune.exports.deployment import runtime_package
from autotune.exports.exporters import exporter
from autotune.exports.tuned import deployment_of, entry_to_deploy
from autotune.patterns import Pattern
from autotune.servers.running import is_free, missing_modules
from autotune.servers.samples import take_samples
from autotune.servers.seen import Verified
from autotune.servers.starters import STARTERS
from autotune.servers.verify import VerifyQuestion, verify_here, verify_url
from autotune.spec import ModelSpec, ServingConfig
from autotune.stages.alone import alone
from autotune.stages.events import Observer
from autotune.stages.question import Keeping


class Place(NamedTuple):
    """Where the server runs."""

    server: str
    python: Path
    """Of the environment in which it is installed."""
    port: int | None
    url: str | None
    """Of one that runs already, where requests are posted; None: it is started here."""


class PolicyQuestion(NamedTuple):
    """A tuned file to verify."""

    tuned: TunedFile
    model: ModelSpec
    groups: list[list[PolicyEntry]]
    """Loads to drive, by configuration: one server each."""
    pattern: Pattern
    duration_s: float
    """Of each load."""
    seed: int
    allow_shared: bool = False
    """Drive them while another autotune on this machine measures."""


def find_place(
    tuned: TunedFile, server: str, python: Path | None, port: int | None, url: str | None
) -> Place:
    """Return where to find the server.

    Args:
        tuned: the file, which says with what the model is executed.
        server: as named for `export`.
        python: the interpreter of its environment; None: this one.
        port: where it shall listen; None: wherever is free.
        url: of one that runs already.

    Raises:
        UsageError: the server is unknown, cannot be started here, lacks a package, or its port is
            taken; or the address is none.
        ServerError: there is no such interpreter.
    """
    exporter(server)
    here = (python or Path(sys.executable)).absolute()  # it is started in another folder
    place = Place(server, here, port, url)
    if url is not None:
        if not is_address(url):
            raise UsageError(f"--url {url}: write it like http://127.0.0.1:8000/v2/models/M/infer")
        return place
    if server not in STARTERS:
        raise UsageError(
            f"--server {server} cannot be started here: choose one of {', '.join(STARTERS)}, or "
            "give --url of one that runs"
        )
    package = runtime_package(deployment_of(tuned, entry_to_deploy(tuned), None))
    demand_installed(f"--server {server}", server, here, package)
    if port is not None and not (0 < port < 65_536 and is_free(port)):
        raise UsageError(f"--port {port} is in use or none that can be used: name another")
    return place


def demand_installed(option: str, server: str, python: Path, runtime: str) -> None:
    """Refuse an interpreter that lacks what a server needs.

    Args:
        option: by which the server was named.
        server: as named for `export`.
        python: the interpreter.
        runtime: the package that executes the model.

    Raises:
        UsageError: a module is missing.
        ServerError: there is no such interpreter.
    """
    starter = STARTERS[server]
    packages = [runtime if one == "onnxruntime" else one for one in starter.packages]
    module = "torch" if runtime == "torch" else "onnxruntime"
    modules = tuple(module if one == "onnxruntime" else one for one in starter.modules)
    if missing_modules(python, modules):
        needed = " ".join(dict.fromkeys(packages))
        raise UsageError(
            f"{option} is not installed for {python}: pip install {needed}, or name with --python "
            "the interpreter that has it"
        )


def is_address(url: str) -> bool:
    """Whether requests could be posted there."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # A port that is no number, a bracket that is not closed.
        return False
    return bool(known) and url.isprintable() and " " not in url


def groups_of(tuned: TunedFile, url: str | None) -> list[list[PolicyEntry]]:
    """Return the loads of each configuration: one server each; a running one has but one."""
    groups: dict[ServingConfig, list[PolicyEntry]] = {}
    for entry in tuned.policy:
        if url is None or entry.config == tuned.recommended:
            groups.setdefault(entry.config, []).append(entry)
    return list(groups.values())


def check_model(question: PolicyQuestion) -> Path:
    """Return the model file.

    Raises:
        UsageError: it is not the model that was tuned.
    """
    path = Path(question.model.path)
    if model_file.sha256(path) != question.tuned.model.sha256:
        raise UsageError(f"{path}: is not the model that was tuned: search again")
    return path


def verify_policy(
    question: PolicyQuestion, place: Place, observe: Observer = lambda event: None
) -> list[Verified]:
    """Start, or find, the server with each configuration in turn, and drive its loads.

    Raises:
        UsageError: it is not the model that was tuned.
        ModelError: the model cannot be run.
        ServerError: the server does not start or does not answer.
    """
    with alone(Keeping(allow_shared=question.allow_shared), observe):
        return _verify(question, place, observe)


def _verify(question: PolicyQuestion, place: Place, observe: Observer) -> list[Verified]:
    path = check_model(question)
    samples = take_samples(question.model)
    found = []
    for entries in question.groups:
        one = VerifyQuestion(
            place.server,
            deployment_of(question.tuned, entries[-1], path),
            entries,
            question.pattern,
            question.duration_s,
            question.seed,
        )
        if place.url is not None:
            found.append(verify_url(one, samples, place.url, observe))
        else:
            found.append(verify_here(one, samples, place.python, place.port, observe))
    return found
