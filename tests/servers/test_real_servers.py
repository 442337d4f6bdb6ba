"""Every server that can run here: exported, started, driven, and seen to obey. Slow: it installs.

Each stands in an environment of its own, made from `requirements/`, for their dependencies clash.
"""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import file_for

from autotune import config_file
from autotune.cli.app import run
from autotune.exports.deployment import Knob
from autotune.exports.exporters import EXPORTERS
from autotune.servers.running import version_of
from autotune.servers.starters import STARTERS
from autotune.spec import ServingConfig

REQUIREMENTS = Path(__file__).parent / "requirements"
BATCHING = ServingConfig(
    replicas=2, intra_op_threads=2, spinning=False, max_batch_size=4, batch_timeout_ms=5.0
)
NEEDS = {"torchserve": ("java", "Java 17: apt-get install openjdk-17-jre-headless")}
VISIBLE: tuple[Knob, ...] = ("replicas", "intra_op_threads", "max_batch_size")

pytestmark = pytest.mark.slow


@pytest.fixture
def python(server: str, tmp_path: Path) -> Iterator[Path]:
    """The interpreter of a fresh environment that has the server."""
    program, what = NEEDS.get(server, ("sh", ""))
    if shutil.which(program) is None:
        pytest.skip(f"{server} needs {what}")
    requirements = REQUIREMENTS / f"{server}.txt"
    if not requirements.exists():
        yield Path(sys.executable)  # the runtime itself
        return
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    install = [str(folder / "bin" / "pip"), "install", "-q", "--no-compile"]
    done = subprocess.run([*install, "-r", str(requirements)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield folder / "bin" / "python"
    shutil.rmtree(folder)  # some take more than a gigabyte


@pytest.mark.parametrize("server", STARTERS)
def test_a_server_does_what_its_export_says(
    server: str, python: Path, mlp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # OpenVINO gives no more threads than there are cores.
    threads = 1 if server == "openvino" else 2
    config = replace(BATCHING, intra_op_threads=threads)
    tuned = tmp_path / "mlp.autotune.json"
    config_file.write(tuned, file_for(mlp, {"x": [1, 256]}, config, load_rps=40.0))
    arguments = ["--server", server, "--python", str(python), "--duration", "4s", "--json"]
    code = run(["verify", str(tuned), *arguments])
    (found,) = json.loads(capsys.readouterr().out)
    assert code == 0, found
    assert found["answers"] == "equal"
    effects = {one["knob"]: one["effect"] for one in found["knobs"]}
    carried = EXPORTERS[server].carried
    for knob in VISIBLE:
        expected = "not carried" if carried[knob].how == "no" else "took effect"
        assert effects[knob] == expected, found["knobs"]
    (load,) = found["loads"]
    assert load["unanswered"] == 0
    assert load["requests"] > 80
    assert load["overhead_ms"] > 0
    assert 0 < load["inference_ms"] < load["p50"]["value_ms"]


@pytest.mark.parametrize("server", ["litserve"])
def test_a_search_goes_through_the_server(
    server: str, python: Path, mlp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "served.autotune.json"
    asked = ["search", str(mlp), "--slo", "200ms", "--loads", "40", "--budget", "16s"]
    through = ["--target", server, "--python", str(python), "--allow-shared", "-o", str(output)]
    assert run([*asked, *through]) in (0, 1), capsys.readouterr().err
    target = config_file.read(output).target
    assert target is not None
    assert (target.server, target.version) == (server, version_of(python, server))
    (load,) = target.loads
    assert load.ratio is not None
    assert load.ratio > 1  # HTTP and JSON come on top
    assert "Measured through litserve" in capsys.readouterr().out
