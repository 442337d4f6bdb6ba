import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch_models import Conv, exported, exported_conv, images, saved, scripted  # noqa: E402

from autotune.errors import ModelError  # noqa: E402
from autotune.models.kinds import code_in, kind_of, names_in  # noqa: E402
from autotune.spec import ModelSpec  # noqa: E402


class Trap:
    """Its pickle writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.path),)  # type: ignore[return-value]


def kind(path: Path, trust: bool = False) -> str:
    return kind_of(ModelSpec(path=str(path), trust_pickle=trust))


def test_a_file_is_what_it_holds_whatever_its_suffix(mlp: Path, tmp_path: Path) -> None:
    assert kind(mlp) == "onnx"
    onnx = tmp_path / "renamed.pt"
    onnx.write_bytes(mlp.read_bytes())
    assert kind(onnx) == "onnx"
    assert kind(exported_conv(tmp_path / "program.onnx.pt")) == "exported"
    assert kind(scripted(tmp_path / "script.pt2", Conv())) == "script"
    assert kind_of(ModelSpec(path="any.py", function="package:function")) == "function"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickled_module_is_refused_with_the_safe_way_unless_it_is_trusted(
    tmp_path: Path, zipped: bool, protocol: int
) -> None:
    path = saved(tmp_path / "m.pt", Conv(), zipped, protocol)
    with pytest.raises(ModelError, match=r"runs code .*torch_models\.Conv.*torch\.export\.save"):
        kind(path)
    assert kind(path, trust=True) == "pickled"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_weights_alone_lack_the_architecture(tmp_path: Path, zipped: bool, protocol: int) -> None:
    weights = Conv().state_dict()
    for number, what in enumerate((weights, {"epoch": 3, "model": weights, "lr": np.float64(0.1)})):
        path = saved(tmp_path / f"{number}.pt", what, zipped, protocol)
        with pytest.raises(
            ModelError, match=r"only weights.*architecture.*package.module:function"
        ):
            kind(path, trust=True)


def test_safetensors_are_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((64).to_bytes(8, "little") + b'{"weight":{}}')
    with pytest.raises(ModelError, match=r"only weights .a safetensors file"):
        kind(path)


def test_a_pickle_is_read_and_never_executed(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    path = saved(tmp_path / "trap.pt", Trap(sprung))
    with pytest.raises(ModelError, match="runs code"):
        kind(path)
    assert not sprung.exists()


def test_a_pickle_within_an_exported_program_is_not_executed(tmp_path: Path) -> None:
    good, bad, sprung = exported_conv(tmp_path / "good.pt2"), tmp_path / "bad.pt2", tmp_path / "oh"
    trap = pickle.dumps(Trap(sprung))
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            example = name.endswith("sample_inputs/model.pt")
            target.writestr(name, trap if example else source.read(name))
    assert kind(good) == "exported"
    with pytest.raises(ModelError, match=r"holds a pickle \(data/sample_inputs/model.pt\)"):
        kind(bad)
    assert not sprung.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_are_found_in_every_protocol(protocol: int) -> None:
    data = pickle.dumps([np.ones(2), Path("a"), Path("b")], protocol)
    assert any("numpy" in name for name in names_in(data))
    assert any(name.startswith("pathlib") for name in code_in(data))


def test_what_is_no_model_is_said_in_one_line(tmp_path: Path) -> None:
    whole = scripted(tmp_path / "script.pt", Conv()).read_bytes()
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, x=np.ones(3))
    cases = {
        "truncated archive": whole[: len(whole) // 2],
        "no torch model": b"hello, I am no model",
        "damaged pickle": b"\x80\x02garbage",
        "zip archive, but holds no model": arrays.read_bytes(),
    }
    for number, (message, content) in enumerate(cases.items()):
        path = tmp_path / f"{number}.pt"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=message) as raised:
            kind(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        kind(tmp_path / "gone.pt")


def test_a_program_with_several_inputs_is_one_too(tmp_path: Path) -> None:
    assert kind(exported(tmp_path / "m.pt2", Conv(), (images(),))) == "exported"
