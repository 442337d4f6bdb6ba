"""An answer that cannot be written is printed, so that it is not lost."""

from pathlib import Path

import pytest
from msgspec import structs

from autotune import config_file, tune
from autotune.cli.app import run
from autotune.config_file import UnwrittenError

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("v*.autotune.json"))[-1]


@pytest.mark.parametrize(
    ("more", "printed"), [((), "Deploy "), (("--json",), '"format": "autotune"')]
)
def test_the_answer_is_printed_and_the_line_says_what_is_wrong(
    tmp_path: Path,
    mlp: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    printed: str,
) -> None:
    tuned = structs.replace(config_file.read(GOLDEN), summary="Deploy what was found.")

    def search(question: object, observe: object) -> None:
        raise UnwrittenError("-o there: cannot be written: No space left on device", tuned)

    monkeypatch.setattr(tune, "search", search)
    assert run(["search", str(mlp), "--slo", "50ms", "-o", str(tmp_path / "there"), *more]) == 2
    out, err = capsys.readouterr()
    assert printed in out
    assert err.splitlines()[-1] == "error: -o there: cannot be written: No space left on device"
