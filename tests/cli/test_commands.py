"""How every command behaves: help, mistakes of the command line, output that nobody reads."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer import _completion_shared

from autotune.cli import app as app_module
from autotune.cli.app import app, run
from autotune.cli.commands import kinds_of
from autotune.cli.exit_codes import EXIT_CODES, ExitCode
from autotune.cli.settings import ON_THE_COMMAND_LINE_ONLY

GOLDEN = str(Path(__file__).parents[1] / "golden" / "v9.autotune.json")
COMMANDS: dict[str, Any] = dict(getattr(typer.main.get_command(app), "commands", {}))

Said = Callable[..., str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Run a command that must be refused, and return the one line that says why."""
    monkeypatch.setenv("COLUMNS", "80")

    def refused(*arguments: str) -> str:
        assert run(arguments) == ExitCode.MISTAKE, arguments
        out, err = capsys.readouterr()
        assert out == "", arguments
        assert err.count("\n") == 1, (arguments, err)
        assert err.startswith("error: "), (arguments, err)
        return err.removeprefix("error: ").strip()

    return refused


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run([*arguments, "--help"]) == ExitCode.ANSWERED
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", ["1", "80"])
def test_every_help_page_fits_and_shows_an_example_that_could_be_typed(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for name, command in COMMANDS.items():
        text = help_of(capsys, name)
        assert text.startswith(f"Usage: autotune {name} ")
        # Below 50 columns, pages are as wide as Typer makes the narrowest.
        assert columns == "1" or max(map(len, text.splitlines())) <= 80, name
        example = command.epilog
        assert f"Example:\n  {example}\n" in text
        words = example.partition(" > ")[0].split()[2:]
        context = command.make_context(name, words, resilient_parsing=True)
        assert example.startswith(f"autotune {name}")
        missing = [
            one.name for one in command.params if one.required and not context.params[one.name]
        ]
        assert missing == [], name


def test_the_first_page_groups_all_commands_and_says_where_else_options_come_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(capsys)
    assert max(map(len, text.splitlines())) <= 80
    assert [line for line in text.splitlines() if line.endswith(":")] == [
        "Measure:",
        "Deploy:",
        "Look:",
        "Options:",
        "Settings:",
        "Exit codes:",
    ]
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z]", text, re.M), name
    for name in ("--install-completion", "autotune.toml", "AUTOTUNE_SLO", "NO_COLOR", "COLUMNS"):
        assert name in text
    for one in EXIT_CODES:
        assert re.search(rf"^  {int(one.code)} ", text, re.M)


def test_alone_it_prints_help_and_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == ExitCode.MISTAKE
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: autotune" in err


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("serach", "no command 'serach'; did you mean 'search'?"),
        ("help", "no command 'help': `autotune --help` lists them"),
        ("--slo 50ms", "autotune has no option '--slo': autotune --help lists them"),
        ("search --slos 50ms", "search has no option '--slos'; did you mean '--slo'?"),
        ("search -slo 50ms", "search has no option '-s'; did you mean '--slo'?"),
        ("search --replicas 2", "search has no option '--replicas'; it is an option of measure"),
        ("measure --loads 1,2", "measure has no option '--loads'; did you mean '--load'?"),
        ("schema --json", "schema has no option '--json': autotune schema --help lists them"),
        ("search m --slo", "option '--slo' requires an argument"),
        ("show f --json=1", "option '--json' does not take a value"),
        ("search", "search needs MODEL, as in autotune search model.onnx --slo 50ms"),
        ("search m", "search needs --slo, as in autotune search model.onnx --slo 50ms"),
        ("measure a b --slo 1s --load 1", "measure has no place for 'b', as in autotune measure"),
        ("search a b --slo 1s", "--load is missing: write it like --load a=20,b=20"),
        (
            "search a a --slo 1s --load 1",
            "a: is given twice: name it once",
        ),
        ("search a b --slo 1s --load 1 --trials 3", "--trials is for one model: leave it out"),
        ("search a --slo 50 ms", "'ms' stands alone: write 50ms, or '50 ms' in quotes"),
        ("search a --budget 3 minutes", "'minutes' stands alone: write 3minutes, or '3 minutes'"),
        (
            "measure a --spinning no",
            "--spinning takes no value, so there is no place for 'no'; its",
        ),
        ("search a --json yes", "--json takes no value, so there is no place for 'yes'"),
        ("search a --load 1 --load 2", "--load is given twice: several loads are --loads 80,160"),
        ("measure a --load 1 --load 2", "--load is given twice"),
        ("search a --slo 1s --trials x", "--trials 'x' is not a whole number"),
        ("search a --slo 1s --trials 1.5", "--trials '1.5' is not a whole number"),
        ("search a --slo 1s -v -q", "--verbose and --quiet contradict each other"),
        ("search a --slo 1s --input=", "--input is empty: name a file"),
        ("show ''", "FILE is empty: name a file"),
        ("ls ''", "FOLDER is empty: name a file"),
        ("compare f", "compare needs B, as in autotune compare before"),
        ("search a --slo 1s --budget 1us", "--budget '1us' is too short: a search takes several"),
        ("search a --slo 1s --budget 25h", "--budget '25h' is more than a day"),
        ("search '' --slo 1s", "the model's name is empty"),
        (
            "search a --slo 1s --objective latncy",
            "capacity, cpu, cores, energy; did you mean 'latency'?",
        ),
        ("search a --slo 1s --idle-watts lots", "--idle-watts 'lots' is no power: write it like"),
        ("search a --slo 1s --core-watts 0W", "--core-watts '0W' must be above zero"),
        ("search magika: --slo 1s --strategy rll", "is none of rrl"),
        ("search a --slo 1s --arrivals poison", "did you mean 'poisson'?"),
        ("measure a --slo 1s --load 1 --execution-mode paralel", "did you mean 'parallel'?"),
        ("measure a --slo 1s --load 1 --compare replcas=1", "did you mean 'replicas'?"),
        ("measure a --slo 1s --load 1 --compare defualt", "did you mean 'default'?"),
        ("export f --to litserv", "did you mean 'litserve'?"),
        ("check f a --stale wran", "is neither error nor warn; did you mean 'warn'?"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(
    said: Said, line: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_bytes(b"looked at later than what is wrong here")
    arguments = [word.strip("'") if word == "''" else word for word in line.split()]
    assert complaint in said(*arguments)


def test_a_file_with_a_name_alike_is_offered(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model.onnx", "model.autotune.json", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    question = ("--slo", "50ms")
    assert said("search", "modle.onnx", *question).endswith("did you mean 'model.onnx'?")
    assert said("search", "model", *question).endswith("did you mean 'model.onnx'?")
    assert said("search", "other.onnx", *question) == "other.onnx: no such file"
    assert said("search", "magika", *question).endswith("in the package of this name write magika:")
    assert said("show", "model.autotune.jsn").endswith("did you mean 'model.autotune.json'?")


@pytest.mark.parametrize("name", ["a" * 5000, "loop", "\udcff.onnx", "a\x1b[31m\nb", "/dev/null"])
def test_a_path_too_strange_is_one_line(
    said: Said, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "model.onnx").write_bytes(b"x")
    for arguments in (
        ("search", name, "--slo", "50ms"),
        ("show", name),
        ("search", "model.onnx", "--slo", "50ms", "--trace", name),
        ("search", "model.onnx", "--slo", "50ms", "--requests", name),
        ("export", GOLDEN, "--to", "triton", "-o", f"{name}/x")
        if len(name) > 99
        else ("show", name),
    ):
        line = said(*arguments)
        assert line.isprintable()
        assert len(line) <= 1100


class Closed(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("arguments", [["--help"], ["schema"], ["search", "--help"]])
def test_output_that_nobody_reads_ends_it(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed())
    assert run(arguments) == ExitCode.CLOSED
    # Typer puts a wrapper in its place, which would go on to hide what is printed.
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)


@pytest.mark.parametrize("arguments", [["schema"], ["show", GOLDEN], ["show", "--json", GOLDEN]])
def test_a_process_ends_quietly_where_nobody_reads(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "autotune", *arguments]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.CLOSED, b"")


def test_a_process_says_where_it_cannot_write_and_bears_being_without_output() -> None:
    command = f"{sys.executable} -m autotune"
    for line, code, said in (
        (f"{command} schema > /dev/full", 2, "error: cannot write the output: No space left on de"),
        (f"{command} show {GOLDEN} >&- <&-", 0, ""),
    ):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        assert done.returncode == code, (line, done)
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == bool(said)


def test_a_fault_of_our_own_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: Iterable[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(app_module, "run", broken)
    with pytest.raises(SystemExit) as ended:
        app_module.main()
    assert ended.value.code == ExitCode.FAULT
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_every_option_has_a_name_for_settings_files() -> None:
    kinds = kinds_of(COMMANDS)
    assert set(kinds["search"]) >= {"model", "slo", "budget", "dry-run", "output"}
    assert kinds["search"]["trials"] is int
    assert kinds["measure"]["spinning"] is bool
    for name, command in COMMANDS.items():
        options = {one for param in command.params for one in param.opts if one.startswith("--")}
        assert {f"--{key}" for key in kinds[name]} >= {
            one for one in options if one not in ("--trials",)
        }
    assert "force" in ON_THE_COMMAND_LINE_ONLY


def complete(*words: str) -> list[str]:
    """What bash would offer for the last word, by the script that it is given."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    script = (
        'eval "$(_AUTOTUNE_COMPLETE=source_bash autotune)"\n'
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
        '_autotune_completion autotune; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", script, "bash", "autotune", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_values() -> None:
    assert complete("se") == ["search"]
    assert complete("search", "--ob") == ["--objective"]
    assert complete("export", "--to", "tri") == ["triton", "triton-python"]


def test_a_shell_without_completion_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_completion_shared, "_get_shell_name", lambda: "tcsh")
    assert run(["--install-completion"]) == ExitCode.MISTAKE
    assert "error: there is completion for bash, zsh, fish" in capsys.readouterr().err
