"""MLServer: `mlserver start .`."""

from autotune.servers.starter import Place, Starter


def _command(place: Place) -> list[str]:
    return [str(place.python.parent / "mlserver"), "start", "."]


def _environment(place: Place) -> dict[str, str]:
    grpc_port, metrics_port, _ = place.spare_ports
    return {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": str(place.port),
        "MLSERVER_GRPC_PORT": str(grpc_port),
        "MLSERVER_METRICS_PORT": str(metrics_port),
        "TMPDIR": str(place.folder),
    }


MLSERVER = Starter(
    packages=("mlserver", "onnxruntime"),
    modules=("mlserver", "onnxruntime"),
    command=_command,
    ready_path="/v2/models/{name}/ready",
    infer_path="/v2/models/{name}/infer",
    environment=_environment,
)
