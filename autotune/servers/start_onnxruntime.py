"""ONNX Runtime itself, behind Python's own HTTP server: `python http_server.py`."""

from autotune.servers.starter import Place, Starter


def _command(place: Place) -> list[str]:
    return [str(place.python), "http_server.py", "--port", str(place.port)]


ONNXRUNTIME = Starter(
    packages=("onnxruntime",),
    modules=("onnxruntime",),
    command=_command,
    ready_path="/v2/health/ready",
    infer_path="/v2/models/{name}/infer",
    sees_processes=False,
)
