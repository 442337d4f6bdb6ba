"""How an exported server is started on this machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

Speaks = Literal["v2", "v2 in a list"]
"""The open inference protocol, version 2, as JSON; or the same where every body is a list of it."""


class Place(NamedTuple):
    """Where a server runs."""

    folder: Path
    """Holds the exported files, the model, and whatever the server leaves behind."""
    name: str
    """Of the model: `Deployment.name`."""
    port: int
    spare_ports: tuple[int, int, int]
    """Free ones, for a server that wants more than one."""
    python: Path
    """The interpreter of the environment in which the server is installed."""


class Starter(NamedTuple):
    """One server."""

    packages: tuple[str, ...]
    """What pip must have installed; the first is the server itself."""
    modules: tuple[str, ...]
    """What Python must be able to import."""
    command: Callable[[Place], list[str]]
    """Started in `Place.folder`."""
    ready_path: str
    """Answers 200 once requests can be sent. `{name}` stands for the model's name."""
    infer_path: str
    """Takes requests. `{name}` stands for the model's name."""
    speaks: Speaks = "v2"
    environment: Callable[[Place], dict[str, str]] = lambda place: {}
    """Variables beside those of this process."""
    prepare: Callable[[Place], None] = lambda place: None
    """What must be done in the folder before the start.

    Raises:
        ServerError: it failed; the message says why in one line.
    """
    is_ready: Callable[[bytes], bool] = lambda body: True
    """Whether the body that came with 200 says so too."""
    sees_processes: bool = True
    """Whether each replica is a process of its own, which its answers name."""
    grace_s: float = 5.0
    """How long it may take to end by itself before it is killed."""

    def within(self, variables: Mapping[str, str]) -> "Starter":
        """Return the same with further variables of its environment."""
        return self._replace(environment=lambda place: {**self.environment(place), **variables})
