"""`autotune export` as a person meets it."""

from pathlib import Path

import pytest

from autotune import config_file
from autotune.cli.app import run
from autotune.exports.exporters import EXPORTERS

GOLDEN = Path(__file__).parents[1] / "golden" / "v9.autotune.json"
TUNED = config_file.read(GOLDEN)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("server", EXPORTERS)
def test_an_export_is_written_and_says_what_to_do_next(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert run(["export", str(GOLDEN), "--to", server, "-o", str(folder)]) == 0
    said = capsys.readouterr().out
    assert TUNED.recommended.describe() in said
    assert all(str(folder / name) in said for name in files(folder))
    assert f"next, in {folder}:" in said


def test_a_load_picks_its_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    low = TUNED.policy[0]
    assert low.config != TUNED.recommended
    arguments = ["export", str(GOLDEN), "--to", "triton", "--load", "1rps", "-o", str(tmp_path)]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith(low.config.describe())
    assert low.config.spinning
    assert "not carried" not in said


def test_files_of_the_same_name_are_replaced_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(GOLDEN), "--to", "litserve", "-o", str(tmp_path)]
    (tmp_path / "other.py").write_text("mine")
    assert run(arguments) == 0
    fresh = files(tmp_path)
    (tmp_path / "knobs.json").write_text("edited")
    assert run(arguments) == 2
    assert "knobs.json" in capsys.readouterr().err
    assert (tmp_path / "knobs.json").read_text() == "edited"
    assert run([*arguments, "--force"]) == 0
    assert files(tmp_path) == fresh


def test_the_list_says_for_every_server_what_it_carries(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--list"]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    for name, one in EXPORTERS.items():
        assert rows[name].rstrip().endswith("run" if one.proof == "run" else "parsed")
