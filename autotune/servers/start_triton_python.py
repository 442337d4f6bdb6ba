"""Triton with its Python backend: the tritonserver inside the package nvidia-pytriton.

The package starts it in its own ways, so the folder gets what tritonserver itself expects: the
backend with the stub of the right Python, and links to where its libraries lie.
"""

import json
import shutil
import subprocess
from pathlib import Path

from autotune.errors import ServerError
from autotune.servers.starter import Place, Starter

_WHERE = """
import importlib.util, json, sys, sysconfig
print(json.dumps([importlib.util.find_spec("pytriton").submodule_search_locations[0],
                  sysconfig.get_config_var("LIBDIR"), "%d.%d" % sys.version_info[:2]]))
"""


def _inside(place: Place) -> Path:
    return place.folder / "triton"


def _prepare(place: Place) -> None:
    done = subprocess.run([place.python, "-c", _WHERE], capture_output=True, text=True)
    if done.returncode != 0:
        raise ServerError(f"{place.python} cannot import pytriton")
    package, python_lib, version = json.loads(done.stdout)
    server = Path(package) / "tritonserver"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.exists():
        raise ServerError(f"nvidia-pytriton has no backend for Python {version}")
    backend = _inside(place) / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy2(stub, backend)
    (_inside(place) / "server").symlink_to(server)
    (_inside(place) / "libs").symlink_to(Path(package).parent / "nvidia_pytriton.libs")
    (_inside(place) / "python_libs").symlink_to(python_lib)


def _command(place: Place) -> list[str]:
    grpc_port, metrics_port, _ = place.spare_ports
    return [
        str(_inside(place) / "server" / "bin" / "tritonserver"),
        f"--model-repository={place.folder}",
        "--model-control-mode=explicit",  # the folder holds more than models
        f"--load-model={place.name}",
        f"--backend-directory={_inside(place) / 'backends'}",
        "--http-address=127.0.0.1",
        f"--http-port={place.port}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={grpc_port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={metrics_port}",
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
    ]


def _environment(place: Place) -> dict[str, str]:
    libs = f"{_inside(place) / 'libs'}:{_inside(place) / 'python_libs'}"
    return {
        "LD_LIBRARY_PATH": libs,  # without it tritonserver hangs
        "PATH": f"{place.python.parent}:/usr/bin:/bin",  # the stub asks the python3 there
        "AUTOTUNE_SEEN": "1",
    }


TRITON_PYTHON = Starter(
    packages=("nvidia-pytriton", "onnxruntime", "numpy"),
    modules=("pytriton", "onnxruntime", "numpy"),
    command=_command,
    ready_path="/v2/models/{name}/ready",
    infer_path="/v2/models/{name}/infer",
    environment=_environment,
    prepare=_prepare,
    # About a second for each instance; killed earlier, it leaves shared memory behind.
    grace_s=30.0,
)
