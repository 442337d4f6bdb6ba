"""TorchServe: `torch-model-archiver`, then `torchserve`, which starts Java and that the workers.

Its port opens, and `/ping` calls it healthy, while workers still start or even crash.
"""

import json
import os
import subprocess

from autotune.errors import ServerError
from autotune.exports.torchserve import archiver_command
from autotune.runtime_environment import passed_on
from autotune.servers.starter import Place, Starter

_CONFIG = "here.properties"
_LONGEST_FOLDER = 90
"""Characters: the workers' sockets lie in it, and the path of a socket has at most 107."""


def _prepare(place: Place) -> None:
    if len(str(place.folder)) > _LONGEST_FOLDER:
        raise ServerError(
            f"TorchServe cannot make its sockets in {place.folder}: the path must have at most "
            f"{_LONGEST_FOLDER} characters"
        )
    _pack(place)
    exported = (place.folder / "config.properties").read_text(encoding="utf-8")
    (place.folder / _CONFIG).write_text(exported + _addresses(place), encoding="utf-8")


def _pack(place: Place) -> None:
    knobs = json.loads((place.folder / "knobs.json").read_text(encoding="utf-8"))
    program, *arguments = archiver_command(place.name, knobs["model"])
    done = subprocess.run(
        [str(place.python.parent / program), *arguments],
        cwd=place.folder,
        env={**passed_on(os.environ), **_environment(place)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last_line = done.stderr.strip().rpartition("\n")[-1]
        raise ServerError(f"{program} failed with exit code {done.returncode}: {last_line}")


def _addresses(place: Place) -> str:
    metrics_port, grpc_port, grpc_management_port = place.spare_ports
    return (
        f"inference_address=http://127.0.0.1:{place.port}\n"
        # On the same port, so that it can be asked there whether the workers are ready.
        f"management_address=http://127.0.0.1:{place.port}\n"
        f"metrics_address=http://127.0.0.1:{metrics_port}\n"
        f"grpc_inference_port={grpc_port}\n"
        f"grpc_management_port={grpc_management_port}\n"
        "vmargs=-XX:-UsePerfData\n"  # Java would write to /tmp
    )


def _command(place: Place) -> list[str]:
    return [
        str(place.python.parent / "torchserve"),
        "--foreground",
        *("--model-store", "."),
        *("--models", f"{place.name}.mar"),
        *("--ts-config", _CONFIG),
    ]


def _environment(place: Place) -> dict[str, str]:
    folder = str(place.folder)
    return {
        "TMPDIR": folder,
        "TEMP": folder,  # for Java
        "LOG_LOCATION": folder,
        "METRICS_LOCATION": folder,
    }


def _is_ready(body: bytes) -> bool:
    [model] = json.loads(body)
    asked: int = model["minWorkers"]
    return [worker["status"] for worker in model["workers"]].count("READY") >= asked


TORCHSERVE = Starter(
    packages=("torchserve", "torch-model-archiver", "torch", "pyyaml", "onnxruntime"),
    modules=("ts", "model_archiver", "torch", "yaml", "onnxruntime"),
    command=_command,
    ready_path="/models/{name}",
    is_ready=_is_ready,
    infer_path="/predictions/{name}",
    environment=_environment,
    prepare=_prepare,
)
