"""LitServe: `python litserve_server.py`."""

from autotune.servers.starter import Place, Starter


def _command(place: Place) -> list[str]:
    return [str(place.python), "litserve_server.py", "--port", str(place.port)]


LITSERVE = Starter(
    packages=("litserve", "onnxruntime"),
    modules=("litserve", "onnxruntime"),
    command=_command,
    ready_path="/health",
    infer_path="/v2/models/{name}/infer",
)
