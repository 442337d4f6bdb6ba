"""Ray Serve: `serve run`, on a Ray of its own that shares no port and no folder with another.

What `ray.init` and `serve start` do first decides that; `serve run` then takes the YAML as it is.
"""

from autotune.servers.starter import Place, Starter

_SERVE_RUN = """
import functools, os, sys
import ray
from ray import serve
from ray._private import parameter
from ray.serve.scripts import cli

# the port of the node's agent can be chosen for `ray start` only
parameter.RayParams = functools.partial(parameter.RayParams, dashboard_agent_listen_port=0)
ray.init(
    "local",
    namespace="serve",
    num_cpus=1,  # idle processes that wait for tasks; replicas ask for none
    include_dashboard=False,
    object_store_memory=100_000_000,
    _temp_dir=f"/proc/{os.getpid()}/cwd/ray",  # sockets lie there: paths of up to 107 bytes
)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv.pop())})
cli()
"""


def _command(place: Place) -> list[str]:
    run = ["run", "serve_config.yaml"]
    return [str(place.python), "-c", _SERVE_RUN, *run, str(place.port)]


def _environment(place: Place) -> dict[str, str]:
    return {
        "TMPDIR": str(place.folder),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # no cluster: every part listens on 127.0.0.1
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "AUTOSCALER_METRIC_PORT": "0",
        "DASHBOARD_METRIC_PORT": "0",
        "OMP_NUM_THREADS": "1",
    }


RAYSERVE = Starter(
    packages=("ray[serve]", "onnxruntime"),
    modules=("ray.serve", "onnxruntime"),
    command=_command,
    ready_path="/v2/models/{name}/infer",
    infer_path="/v2/models/{name}/infer",
    environment=_environment,
)
