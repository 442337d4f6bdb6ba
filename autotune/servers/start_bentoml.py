"""BentoML: `bentoml serve`."""

from autotune.servers.starter import Place, Starter


def _command(place: Place) -> list[str]:
    serve = [str(place.python), "-m", "bentoml", "serve", "bento_service:TunedModel"]
    return [*serve, "--host", "127.0.0.1", "--port", str(place.port)]


def _environment(place: Place) -> dict[str, str]:
    """Keep what BentoML writes in the folder, and what it would tell its makers to itself."""
    return {
        "BENTOML_HOME": str(place.folder / "bentoml"),
        "TMPDIR": str(place.folder),
        "BENTOML_DO_NOT_TRACK": "true",
    }


BENTOML = Starter(
    packages=("bentoml", "uvloop", "onnxruntime"),
    modules=("bentoml", "uvloop", "onnxruntime"),
    command=_command,
    ready_path="/readyz",
    infer_path="/v2/models/{name}/infer",
    speaks="v2 in a list",
    environment=_environment,
)
