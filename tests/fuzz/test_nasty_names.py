"""What strangers call their models, through every door of the command line and of Python."""

import ast
import csv
import io
import json
import re
import shlex
import subprocess
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
import vl_convert
import yaml
from drawn import DRAWN
from google.protobuf import text_format
from markdown_it import MarkdownIt
from msgspec.structs import replace
from nasty import ALL, NAMES, filled, gate_of, tuned_of
from told import checking, known_after, measuring, searching
from tritonclient.grpc import model_config_pb2

from autotune import config_file, rows, tabular
from autotune.cli import ci
from autotune.cli.app import run
from autotune.cli.foreign import clean
from autotune.cli.lines import Lines
from autotune.cli.live_text import UNICODE
from autotune.cli.live_view import LogEntry, Size, frame
from autotune.cli.mistakes import complaint
from autotune.cli.page import print_page
from autotune.command_line import measure_command, quoted
from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.exports.exporters import EXPORTERS, export
from autotune.exports.tuned import deployment_of, entry_to_deploy
from autotune.outcome import ModelInfo
from autotune.present.document import as_html
from autotune.present.gate import gate_page
from autotune.records import Failed
from autotune.reports.markdown import markdown
from autotune.reports.page import page
from autotune.stages.events import (
    Doing,
    Event,
    Inspected,
    Loading,
    Profiled,
    Said,
    Started,
    Tried,
)
from autotune.tabular import printable

by_name = pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
COMMAND = re.compile(r"(?m)^\s*::|##\w*\[")
"""What CI systems act upon in a log."""


def steers_nothing(text: str) -> bool:
    """Whether a terminal and a CI system take all of it for text."""
    return all(one.isprintable() or one in "\r\n" for one in text) and not COMMAND.search(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nasty.autotune.json"
    config_file.write(path, tuned_of(ALL))
    return path


def test_such_a_file_is_read_as_it_was_written(file: Path) -> None:
    assert config_file.read(file) == tuned_of(ALL)
    assert tuned_of(ALL).model.name == ALL


@pytest.mark.parametrize(
    "arguments",
    [["show"], ["show", "--trials"], ["show", "--csv"], ["show", "--csv", "--trials"],
     ["compare"], ["compare", "--csv"], ["ls"], ["ls", "--csv"], ["ls", "--trials"],
     ["report", "--markdown"]],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_command_prints_nothing_that_steers(
    file: Path,
    arguments: list[str],
    columns: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    command, *options = arguments
    assert run([command, str(file), *[str(file)] * (command == "compare"), *options]) == 0
    seen = capsys.readouterr()
    assert seen.out
    if "--csv" in options:  # which must stay what it is
        assert all(one.isprintable() or one in "\r\n" for one in seen.out)
    else:
        assert steers_nothing(seen.out)
    assert steers_nothing(seen.err)


@by_name
def test_json_and_csv_hold_the_name_itself(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, tuned = tmp_path / "nasty.autotune.json", tuned_of(name)
    config_file.write(path, tuned)
    assert run(["show", str(path), "--json"]) == 0
    text = capsys.readouterr().out
    assert all(one.isprintable() or one in "\r\n" or ord(one) > 0x9F for one in text)
    assert msgspec.json.decode(text, type=TunedFile) == tuned
    table = tabular.to_csv(rows.trial_rows(tuned), rows.TRIALS)
    failures = [row["failure_detail"] for row in csv.DictReader(io.StringIO(table, newline=""))]
    known = [one.failure.detail for one in tuned.trials if one.failure is not None]
    assert [one for one in failures if one] == list(map(printable, known))


class _Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[str]]] = []
        self.attributes: list[str] = []
        self.words = ""
        self._code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, [name for name, _ in attrs]))
        self.attributes += [value or "" for _, value in attrs]
        self._code = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._code = False

    def handle_data(self, data: str) -> None:
        self.words += "" if self._code else data


def test_the_page_shows_the_name_and_has_no_element_of_its_making(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda script: script)  # it takes seconds
    nasty, plain = _Seen(page(tuned_of(ALL))), _Seen(page(tuned_of("plain")))
    assert nasty.elements == plain.elements
    assert printable(ALL) in nasty.words
    assert steers_nothing(nasty.words.replace("\n", " ").replace("::", "").replace("##", ""))
    assert all(value.isprintable() for value in nasty.attributes)


def test_a_notebook_shows_the_name() -> None:
    shown = _Seen(as_html(gate_page(gate_of(ALL))))
    assert {tag for tag, _ in shown.elements} <= {
        *("div", "p", "table", "thead", "tbody", "tr", "th", "td", "span")
    }
    assert printable(ALL) in shown.words


def shown_by(text: str) -> str:
    """What a reader of Markdown sees, without elements."""
    seen = _Seen(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert not {"script", "img", "a", "code", "em", "del"} & {tag for tag, _ in seen.elements}
    return seen.words


@by_name
def test_markdown_shows_the_name(name: str) -> None:
    text = markdown(tuned_of(name)).split("<details>")[0]
    assert f"autotune: {printable(name).strip()}\n" in shown_by(text)
    assert text.count("\n|") == markdown(tuned_of("plain")).split("<details>")[0].count("\n|")
    assert steers_nothing(text)


@by_name
def test_a_command_to_be_copied_is_read_by_a_shell_as_meant(name: str) -> None:
    assert steers_nothing(quoted(name))
    text = name.replace("\x00", "")  # which no argument can hold
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {quoted(text)} end"], capture_output=True, check=True
    )
    assert words.stdout == f"{text}\0end\0".encode()
    if text.isprintable() and "##" not in text:
        assert shlex.split(quoted(text)) == [text]
    command = measure_command(replace(DRAWN, repeat=[name]), DRAWN.recommended, 10.0)
    assert command is not None
    assert f" {quoted(name)} " in command


@by_name
def test_ci_reads_what_was_meant(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = gate_of(name)
    case = ElementTree.fromstring(ci.junit_xml(report)).find("testcase")
    assert case is not None
    assert case.get("classname") == printable(name)
    failure = case.find("failure")
    assert failure is not None
    assert (failure.text or "").startswith(printable(name))
    annotation = ci.github_annotation(report)
    assert len(annotation.splitlines()) == 1
    data = annotation.split("::", 2)[2].replace("%0A", "\n").replace("%0D", "\r")
    assert data.replace("%25", "%").startswith(printable(name))
    summary = ci.github_summary(report)
    assert printable(name).strip() in shown_by(summary)
    assert steers_nothing(summary)
    print_page(gate_page(report))
    assert steers_nothing(capsys.readouterr().out)


@by_name
@pytest.mark.parametrize("server", EXPORTERS)
def test_an_export_reads_back_as_meant(server: str, name: str) -> None:
    runtime = "torch 2.13.0" if EXPORTERS[server].torch else "onnxruntime 1.32.0"
    nasty = tuned_of(name)
    tuned = replace(nasty, runtime=runtime, model=replace(nasty.model, function=None))
    exported = export(server, deployment_of(tuned, entry_to_deploy(tuned), Path("/m") / "x"))
    for path, text in exported.files.items():
        assert re.fullmatch(r"[a-zA-Z0-9._/-]+", path)
        assert ".." not in path
        if path.endswith(".pbtxt"):
            text_format.Parse(text, model_config_pb2.ModelConfig())
        elif path.endswith(".py"):
            ast.parse(text)
        elif path.endswith(".toml"):
            tomllib.loads(text)
        elif path.endswith(".json"):
            json.loads(text)
        elif path.endswith(".yaml"):
            yaml.safe_load(text)
    if "knobs.json" in exported.files and EXPORTERS[server].torch:
        knobs = json.loads(exported.files["knobs.json"])
        assert {one["name"] for one in knobs["inputs"]} == {name}
        if "serve_config.yaml" in exported.files:
            config = yaml.safe_load(exported.files["serve_config.yaml"])
            assert config["applications"][0]["deployments"][0]["user_config"] == knobs
    assert all(map(steers_nothing, [*exported.not_carried, *exported.next_steps]))


@by_name
def test_a_function_that_is_none_is_not_exported(name: str) -> None:
    tuned = replace(DRAWN, model=replace(DRAWN.model, function=name))
    with pytest.raises(UsageError, match=r"is no package\.module:function"):
        deployment_of(tuned, DRAWN.policy[0], None)


def told(event: Event, name: str, info: ModelInfo) -> Event:
    """The event, as it is told of a model with such names."""
    match event:
        case Loading():
            return replace(event, name=name)
        case Started():
            return replace(event, step=name)
        case Doing():
            return replace(event, what=name)
        case Inspected():
            return replace(event, info=info)
        case Profiled():
            return replace(event, label=name)
        case Said():
            return replace(event, text=name)
        case Tried(result=Failed()):
            return replace(event, result=Failed(kind="crash", detail=name))
    return event


@by_name
def test_progress_and_complaints_are_lines_of_text(name: str, info: ModelInfo) -> None:
    known = filled(info, name)
    events = [told(one, name, known) for one in [*searching(info), *measuring(), *checking()]]
    texts: list[str] = []
    lines = Lines(texts.append, verbosity=1)
    for event in events:
        lines.observe(event)
    assert texts
    assert all(map(steers_nothing, texts))
    state, entry = known_after(events), LogEntry(1.0, clean(name), True)
    for size in (Size(80, 24), Size(30, 8), Size(200, 60)):
        drawn = frame(state, [entry], 100.0, size, UNICODE)
        assert all(steers_nothing(text) for line in drawn for text, _ in line)
    assert steers_nothing(complaint(name))
    assert steers_nothing(complaint(f"{name}\udc80 is \ud83d none"))
