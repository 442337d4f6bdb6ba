"""`autotune fleet search`, and the other commands that read what it writes."""

import json
import socket
from pathlib import Path

import pytest
from fleet_made import three_types, written
from tuned_types import made_type

import autotune as package
from autotune import config_file, fleet_file
from autotune.cli.app import run
from autotune.errors import ConfigFileError
from autotune.exports.exporters import EXPORTERS


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a model")
    return str(path)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ((), "--ray names the cluster"),
        (("--ray", "10.0.0.1"), "--ray 10.0.0.1: write HOST:PORT"),
        (("--ray", "ray://head:10001"), "Ray's client cannot stream results"),
        (("--ray", "10.0.0.1:99999"), "write HOST:PORT"),
        (("--ray", f"127.0.0.1:{free_port()}"), "no cluster answers there: Connection refused"),
        (("--ray", "auto", "--nodes-per-type", "0"), "--nodes-per-type 0 must lie between"),
        (("--ray", "auto", "--at-once", "0"), "--at-once 0 must lie between"),
        (("--machine-type", "a=1,1Gi"), "--machine-type belongs to --kubernetes"),
        (("--kubernetes", "f.yaml"), "--kubernetes needs the machine types"),
        (("--kubernetes", "f.yaml", "--machine-type", "a"), "write NAME=CPUS,MEMORY"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], model: str, more: tuple[str, ...], complaint: str
) -> None:
    pytest.importorskip("ray")
    code, out, err = said(capsys, "fleet", "search", model, "--slo", "50ms", *more)
    assert code == 2
    assert out == ""
    assert complaint in err
    assert len(err.splitlines()) == 1


def test_another_word_than_search_is_refused(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    code, _, err = said(capsys, "fleet", "serch", model, "--slo", "50ms", "--ray", "auto")
    assert code == 2
    assert "write `autotune fleet search MODEL" in err


def test_without_ray_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    code, _, err = said(capsys, "fleet", "search", model, "--slo", "50ms", "--ray", "auto")
    assert code == 2
    assert "pip install 'autotune[fleet]'" in err


def test_the_manifest_is_written_and_what_comes_next_is_said(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.yaml"
    kubernetes = ("--kubernetes", str(path), "--machine-type", "c7g.large=2,3Gi")
    code, out, _ = said(capsys, "fleet", "search", model, "--slo", "50ms", *kubernetes)
    assert code == 0
    assert path.read_text() == package.fleet_manifest({"c7g.large": "2,3Gi"})
    assert f"autotune fleet search {model} --slo 50ms --ray auto" in out


def test_show_knows_machine_types(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(written(tmp_path))
    code, out, _ = said(capsys, "show", path)
    assert code == 0
    assert "c.large is missing" in out
    code, out, _ = said(capsys, "show", path, "--json")
    assert fleet_file.parse(out.encode(), Path("shown")) == three_types()
    code, out, _ = said(capsys, "show", f"{path}#b.large", "--json")
    assert config_file.parse(out.encode(), Path("shown")) == made_type(2.0)
    code, _, err = said(capsys, "show", path, "--csv")
    assert code == 2
    assert f"name one, like {path}#NAME" in err


def test_report_writes_one_page_or_that_of_a_type(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(written(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert said(capsys, "report", path)[0] == 0
    assert "<h2>a.large</h2>" in (tmp_path / "model.fleet.report.html").read_text()
    assert said(capsys, "report", f"{path}#a.large")[0] == 0
    assert (tmp_path / "model.fleet.json-a.large.report.html").exists()
    code, _, err = said(capsys, "report", path, "--markdown")
    assert code == 2
    assert f"name one, like {path}#NAME" in err


def test_export_takes_one_type(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "triton" in EXPORTERS
    path, options = written(tmp_path), ("--to", "triton", "-o", str(tmp_path / "t"))
    code, _, err = said(capsys, "export", str(path), *options)
    assert code == 2
    assert f"holds several tuned files: name one, like {path}#a.large" in err
    code, _, err = said(capsys, "export", f"{path}#c.large", *options)
    assert code == 2
    assert "nothing was found for it" in err
    assert said(capsys, "export", f"{path}#a.large", *options)[0] == 0
    assert list((tmp_path / "t").rglob("config.pbtxt"))


def test_plan_reads_it_each_type_by_its_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, prices = written(tmp_path), tmp_path / "prices.toml"
    prices.write_text(
        'currency = "USD"\n[machines."a.large"]\nprice_per_hour = 0.08\n'
        '[machines."b.large"]\nprice_per_hour = 0.1\n'
    )
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(str(one / 50) for one in range(2000)) + "\n")
    options = ("--trace", str(trace), "--prices", str(prices), "--json")
    code, out, err = said(capsys, "plan", str(path), *options)
    assert code in (0, 1), err
    types = {one["name"]: one["file"] for one in json.loads(out)["types"]}
    assert types == {name: f"{path} ({name})" for name in ("a.large", "b.large")}
    code, out, err = said(capsys, "plan", f"b.large={path}", *options)
    assert [one["name"] for one in json.loads(out)["types"]] == ["b.large"]
    code, _, err = said(capsys, "plan", f"c.large={path}", *options)
    assert code == 2
    assert "is missing in" in err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "schema", "--fleet")
    assert json.loads(out) == fleet_file.json_schema() == package.schema(fleet=True)


def test_python_takes_a_type_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert package.load(f"{path}#b.large", stale="ignore").file == made_type(2.0)
    assert package.report(f"{path}#a.large").markdown
    with pytest.raises(ConfigFileError, match="there is no 'z' in"):
        package.load(f"{path}#z")


def test_python_has_the_types_as_a_mapping(tmp_path: Path) -> None:
    from autotune.api.fleet import FleetResult

    found = FleetResult(three_types())
    assert found.types == ["a.large", "b.large", "c.large"]
    assert found.missing == {"c.large": "no node is left"}
    assert found["b.large"].file == made_type(2.0)
    assert found.exit_code == 4
    assert set(found.to_pandas()["machine_type"]) == {"a.large", "b.large"}
    saved = found.save(tmp_path / "again.fleet.json")
    assert fleet_file.read(saved) == found.record
    assert "<h2>a.large</h2>" in found.report(tmp_path / "page.html").read_text()
    assert "c.large is missing" in str(found)
