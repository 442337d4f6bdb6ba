"""Every page of the documentation: its commands run, its links lead somewhere."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_page import (
    LANGUAGES,
    Block,
    blocks_of,
    commands_in,
    given_files,
    matches,
    quicker,
    run,
    run_page,
    spans_of,
    steps_of,
)
from typer.main import get_command

from autotune import model_file
from autotune.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
AT_ONCE = 3
"""Most of a page's time is waiting; what it measures is not compared."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_run(block: Block) -> bool:
    return block.language in ("console", "python") and not (block.file or block.not_run_because)


RUNNABLE = [page for page in PAGES if any(map(is_run, blocks_of(page.read_text())))]
NOT_RUN = [
    (f"{name(page)}:{block.line}", block.not_run_because)
    for page in PAGES
    for block in blocks_of(page.read_text())
    if block.not_run_because is not None
]


def make_given(folder: Path) -> Path:
    """Fill a folder with a model and a file tuned for it."""
    shutil.copy(model_file.locate("magika:"), folder / "model.onnx")
    done = run(["bash", "-c", quicker("autotune search model.onnx --slo 50ms --load 20")], folder)
    assert (folder / "model.autotune.json").exists(), done.stderr
    return folder


def complaints_of(page: Path, folder: Path, given: Future[Path]) -> list[str]:
    """Run a page in a folder."""
    text = page.read_text()
    for file in given_files(text):
        shutil.copy(given.result() / file, folder)
    (folder / "examples").symlink_to(ROOT / "examples")
    return list(run_page(text, folder))


@pytest.fixture(scope="module")
def complaints(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[list[str]]]]:
    """Run the pages that were asked for, some at once, the longest first."""
    asked = {
        item.callspec.params["page"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == test_what_a_page_shows_is_what_happens.__name__
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        given = pool.submit(make_given, tmp_path_factory.mktemp("given"))
        yield {
            page: pool.submit(complaints_of, page, tmp_path_factory.mktemp(page.stem), given)
            for page in sorted(RUNNABLE, key=lambda one: len(one.read_text()), reverse=True)
            if page in asked
        }


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_what_a_page_shows_is_what_happens(
    page: Path, complaints: dict[Path, Future[list[str]]]
) -> None:
    found = complaints[page].result()
    assert not found, "\n\n".join([name(page), *found])


@pytest.mark.parametrize(("where", "reason"), NOT_RUN)
def test_what_is_not_run_is_told_with_its_reason(where: str, reason: str) -> None:
    pytest.skip(f"{where}: {reason}")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_are_what_they_say(page: Path) -> None:
    parsers: dict[str, Callable[[str], object]] = {
        "yaml": yaml.safe_load,
        "json": json.loads,
        "toml": tomllib.loads,
    }
    for block in blocks_of(page.read_text()):
        where = f"{name(page)}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: say what the block is"
        hidden = block.language == "text" and re.search(r"^\$ ", block.text, re.MULTILINE)
        assert not hidden, f"{where}: commands belong into a console block"
        if block.language in parsers:
            parsers[block.language](block.text)
        if block.language == "console":
            assert steps_of(block), f"{where}: no commands"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_not_run_exist(page: Path) -> None:
    text = page.read_text()
    for span in spans_of(text):
        for words in commands_in(span) if span.startswith("autotune ") else []:
            assert_exists(words)
    for block in blocks_of(text):
        for words in [] if is_run(block) else commands_in(block.text):
            if words[0] in commands():
                assert_exists(words)
        for words in listed(yaml.safe_load(block.text)) if block.language == "yaml" else []:
            assert_exists(words)


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "ci").glob("*.yml")), ids=str)
def test_commands_of_the_workflows_exist(path: Path) -> None:
    found = [words for words in commands_in(path.read_text()) if words[0] == "check"]
    assert found
    for words in found:
        assert_exists(words)


def listed(value: Any) -> Iterator[list[str]]:
    """Yield the commands that a manifest gives word by word."""
    if isinstance(value, list) and value[:1] == ["autotune"]:
        yield [str(word) for word in value[1:]]
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from listed(inner)


def commands() -> dict[str, Any]:
    return dict(getattr(get_command(app), "commands", {}))


def assert_exists(words: list[str]) -> None:
    assert words[0] in commands(), words
    known = {
        option
        for parameter in commands()[words[0]].params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    for word in words[1:]:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in known, words


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{name(page)}: {target}"
        if anchor and goal.suffix == ".md":
            assert anchor in anchors(goal), f"{name(page)}: {target}"


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_page_is_on_the_map() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for page in PAGES[1:]:
        path = page.relative_to(ROOT / "docs")
        if path.name != "index.md" and path.parts[0] != "decisions":
            assert f"({path})" in index, path


class TestTheRunner:
    """What holds pages against programs must see where they differ."""

    def test_numbers_and_widths_are_free_and_words_are_not(self) -> None:
        assert matches(["load   p99 ms", "30/s   11.2"], ["load p99 ms", "45/s  1,911.25"])
        assert matches(["2 x 1 thread, 9 ms"], ["1 x 2 threads, no spin, batch 4, wait 2 ms, 4 ms"])
        assert not matches(["load   p99 ms"], ["load p95 max"])

    def test_dots_stand_for_any_lines_between(self) -> None:
        printed = ["first", "a", "b", "last"]
        assert matches(["first", "...", "last"], printed)
        assert matches(["...", "b", "..."], printed)
        assert not matches(["first", "last"], printed)
        assert not matches(["...", "b", "a", "..."], printed)
        assert not matches(["first", "...", "b"], printed)

    def test_a_page_that_lies_is_found_out(self, tmp_path: Path) -> None:
        page = (
            "```console\n$ echo one\none\n$ false # exit 1\n```\n"
            "```console varies\n$ echo two; echo 3\ntwo\n5 more\n```\n"
            "```text file=note.txt\nhello\n```\n```console\n$ cat note.txt\nhello\n```\n"
            "```python\nprint(2 + 2)\n```\n```output\n4\n```\n"
        )
        assert list(run_page(page, tmp_path)) == []
        for truth, lie in [
            ("one\none", "one\ntwo"),
            ("exit 1", "exit 2"),
            ("two\n5", "too\n5"),
            ("txt\nhello\n```\n```python", "txt\nbye\n```\n```python"),
            ("2 + 2", "'five'"),
        ]:
            assert len(list(run_page(page.replace(truth, lie, 1), tmp_path))) == 1, truth

    def test_measurements_are_cut_short(self) -> None:
        assert quicker("autotune show x") == "autotune show x"
        assert "--budget 8s m" in quicker("autotune search m --budget 3m")
        assert "3m" not in quicker("autotune search m --budget 3m")
        assert "--duration 15s" in quicker("autotune measure m --load 90 --compare default")
        assert "--duration 29s" in quicker("autotune measure m --load 30 --compare default")
