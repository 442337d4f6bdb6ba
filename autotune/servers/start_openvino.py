"""OpenVINO, behind Python's own HTTP server: `python http_server.py --runtime openvino`."""

from autotune.servers.starter import Place, Starter


def _command(place: Place) -> list[str]:
    port = str(place.port)
    return [str(place.python), "http_server.py", "--runtime", "openvino", "--port", port]


def _prepare(place: Place) -> None:
    """Decline its telemetry, as `opt_in_out --opt_out` does: an import would report to Google."""
    answer = place.folder / "intel" / "openvino_telemetry"
    answer.parent.mkdir()
    answer.write_text("0")


def _environment(place: Place) -> dict[str, str]:
    return {"HOME": str(place.folder)}


OPENVINO = Starter(
    packages=("openvino", "numpy"),
    modules=("openvino", "numpy"),
    command=_command,
    ready_path="/v2/health/ready",
    infer_path="/v2/models/{name}/infer",
    environment=_environment,
    prepare=_prepare,
    sees_processes=False,
)
