"""What a person asks of several models: flags and files of services."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import AutotuneError, UsageError
from autotune.patterns import Bursty
from autotune.spec import Slo
from autotune.together.asked import by_name, make_services, read_services

NAMES = st.lists(st.text("abcxyz_", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)


@pytest.fixture
def models(mlp: Path, tmp_path: Path) -> list[Path]:
    found = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(mlp.read_bytes())
        found.append(path)
    return found


def written(folder: Path, text: str) -> Path:
    path = folder / "services.toml"
    path.write_text(text)
    return path


CHAIN = """
[ocr]
slo = "200ms"
load = 5
percentile = 95
arrivals = "bursty:4"
chain = [{ model = "a.onnx" }, { model = "b.onnx", name = "words", per_request = 3 }]
"""


def test_a_chain_is_one_service_of_several_models(models: list[Path], tmp_path: Path) -> None:
    (service,) = read_services(written(tmp_path, CHAIN), seed=0)
    assert service.slo == Slo(latency_ms=200, percentile=95)
    assert service.traffic.pattern == Bursty(factor=4)
    assert [one.name for one in service.steps] == ["a", "words"]
    assert [service.executions(step) for step in (0, 1)] == [1, 3]


def test_paths_count_from_the_folder_of_the_file(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    (service,) = read_services(written(tmp_path, CHAIN), seed=0)
    assert service.steps[0].model.path == str(models[0])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a", "is not TOML"),
        ("a = 1", r"\[a\]: is no table"),
        ('[a]\nmodel = "a.onnx"\nload = 1', "says no slo"),
        ('[a]\nmodel = "a.onnx"\nslo = "5ms"', "says no load"),
        ('[a]\nslo = "5ms"\nload = 1', "say either model or chain"),
        ('[a]\nslo = "5"\nload = 1\nmodel = "a.onnx"', "slo '5' has no unit"),
        ('[a]\nslo = "5ms"\nload = -1\nmodel = "a.onnx"', "load"),
        ('[a]\nslo = "5ms"\nload = 1\nmodle = "a.onnx"', "there is no 'modle' here.*mean"),
        ('[a]\nslo = "5ms"\nload = 1\nmodel = "nix.onnx"', "nix.onnx"),
        ('[a]\nslo = "5ms"\nload = 1\nmodel = "a.onnx"', "name at least two"),
        ('[a]\nslo = "5ms"\nload = 1\nchain = []', "is no list of tables"),
        ('[a]\nslo = "5ms"\nload = 1\nchain = [{ per_request = 2 }]', "step 1: says no model"),
        (
            '[a]\nslo = "5ms"\nload = 1\nchain = [{ model = "a.onnx", per_request = 2 }]',
            "step 1 per_request: 2",
        ),
        (
            '[a]\nslo = "5ms"\nload = 1\nchain = [{ model = "a.onnx" }, { model = "a.onnx" }]',
            "is given twice",
        ),
        (
            '[a]\nslo = "5ms"\nload = 1\nmodel = "b.onnx"\n'
            '[b]\nslo = "5ms"\nload = 1\nchain = [{ model = "a.onnx", name = "a" }]',
            "two models are called 'a'",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_line(
    models: list[Path], tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(AutotuneError, match=complaint) as caught:
        read_services(written(tmp_path, text), seed=0)
    assert "\n" not in str(caught.value)


def test_models_that_are_named_are_services_of_one_step(models: list[Path]) -> None:
    slos = {"a": Slo(latency_ms=5), "b": Slo(latency_ms=7)}
    found = make_services([*map(str, models)], slos, {"a": 1.0, "b": 2.0}, None, 0)
    assert [(one.name, one.slo.latency_ms, one.traffic.load_rps) for one in found] == [
        ("a", 5, 1.0),
        ("b", 7, 2.0),
    ]


def test_one_value_is_for_all() -> None:
    assert by_name("5ms", "--slo", ["a", "b"]) == {"a": "5ms", "b": "5ms"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a=1,c=2", "there is no model 'c': there are a, b"),
        ("a=1", "says nothing for b: add b="),
        ("a=1,a=2,b=3", "says twice"),
        ("a=1,2", "write '2' as NAME=2"),
    ],
)
def test_an_option_that_does_not_fit_the_models_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        by_name(text, "--slo", ["a", "b"])


@given(NAMES, st.data())
def test_what_each_is_given_is_what_each_gets(names: list[str], data: st.DataObject) -> None:
    values = {name: data.draw(st.text("0123456789ms", min_size=1)) for name in names}
    text = ",".join(f"{name}={value}" for name, value in values.items())
    assert by_name(text, "--slo", names) == values
