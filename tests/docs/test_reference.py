"""The reference says what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MAKER = ROOT / "docs" / "make_reference.py"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", MAKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(maker: ModuleType) -> dict[str, str]:
    found: dict[str, str] = maker.pages()
    return found


def test_the_reference_is_what_the_code_makes_of_it(pages: dict[str, str]) -> None:
    folder = ROOT / "docs" / "reference"
    stale = [
        name
        for name, text in pages.items()
        if not (folder / name).exists() or (folder / name).read_text() != text
    ]
    assert stale == [], "run: python docs/make_reference.py"
    assert {path.name for path in folder.iterdir()} == set(pages)


def test_every_field_option_and_public_name_is_on_its_page(pages: dict[str, str]) -> None:
    assert "`slo_attainment`" in pages["file.md"]
    assert "Share of offered requests answered within the SLO." in pages["file.md"]
    assert "`--no-spinning`" in pages["cli.md"] or "--no-spinning" in pages["cli.md"]
    assert "`AUTOTUNE_SEARCH_BUDGET`" in pages["settings.md"]
    assert "submit(inputs) -> Future" in pages["python.md"]


def test_docstrings_become_lists_and_blocks(maker: ModuleType) -> None:
    arguments = "Args:\n    one: the first,\n        on two lines.\n    two: other."
    text = f"Do it.\n\n    example()\n\n{arguments}"
    assert maker.docstring_text(text) == (
        "Do it.\n\n```text\nexample()\n```\n\n**Args:**\n\n"
        "- `one`: the first, on two lines.\n- `two`: other."
    )
