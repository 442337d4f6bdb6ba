"""An export that runs: written into a folder of its own, started, and gone without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autotune.exports.deployment import Deployment
from autotune.exports.exporters import export
from autotune.probes.scratch import scratch
from autotune.runtime_environment import environment_of
from autotune.servers.running import RunningServer, free_ports
from autotune.servers.starter import Place
from autotune.servers.starters import STARTERS

READY_WITHIN_S = 120.0


@contextmanager
def exported(
    server: str, deployment: Deployment, python: Path, port: int | None = None
) -> Iterator[tuple[RunningServer, str]]:
    """Start a server with an export, and yield it with the address that requests are posted to.

    Args:
        server: as named for `export`.
        deployment: what it is to serve.
        python: the interpreter of the environment in which it is installed.
        port: where it shall listen; None: on any port that is free.

    Raises:
        UsageError: it cannot run the model as it was tuned.
        ServerError: it does not start.
    """
    needed = environment_of(deployment.is_torch, deployment.config.session_shape)
    starter = STARTERS[server].within(needed)
    free, *spare = free_ports(4)
    path = starter.infer_path.format(name=deployment.name)
    with scratch(ignore_cleanup_errors=True) as name:
        folder, ports = Path(name), (spare[0], spare[1], spare[2])
        export(server, deployment).write_to(folder)
        place = Place(folder, deployment.name, port or free, ports, python)
        with RunningServer(starter, place, READY_WITHIN_S) as running:
            yield running, f"http://127.0.0.1:{place.port}{path}"
