"""A page of the documentation as a program: its blocks, run and held against what they show.

What stands after a fence's language says what the test makes of the block:

    console                commands (lines that begin with `$ `) run in bash, in order, in a folder
                           of the page's own; each must exit with 0, or as a comment at its end
                           says (`# exit 1`); what is shown below must be what is printed
    console varies         what is printed differs from run to run: only the first line shown
                           below each command must occur in it
    console exit=0|1       so may the exit code
    python                 a program of its own; `output` after it is what it prints
    ... no-run: REASON     not run; the test prints the reason
    ... file=NAME          the block is written to a file that later commands use
    yaml, toml, json       parsed; commands of autotune inside must exist, with their options
    text                   neither

Numbers, configurations and widths of columns are never compared; `...` alone on a line stands for
any lines.
`<!-- given: model.onnx model.autotune.json -->` puts a model, and a file tuned for it, into the
folder before the first block.
"""

import math
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kept_machine import keep_machine

LANGUAGES = {"console", "python", "output", "yaml", "toml", "json", "text"}
QUICKER = {
    "search": "--budget 8s",
    "check": "--budget 30s",
    "measure": "--duration 3s",
    "verify": "--duration 2s",
}
"""Pages show commands as one would use them; tests have less time."""
COMPARED_REQUESTS, COMPARED_WINDOWS = 60, 12
"""What `measure --compare` wants at least, of a second each."""
PYTHON_S = 8
"""Likewise, of budgets in Python."""
TIMEOUT_S = 120.0
_FENCE = re.compile(r"^( *)```(\S*) *(.*?)$\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_CONFIG = re.compile(
    r"runtime default|\d+ x \d+ threads?(, (parallel\(\d+\)|(no )?spin|batch \d+|wait [\d.]+ ms))*"
)
_EXIT = re.compile(r"\s+# exit (\d+)$")


class Block(NamedTuple):
    """A fenced block."""

    language: str
    marks: str
    """The rest of the fence's line."""
    text: str
    line: int
    """Of the fence, from 1."""

    @property
    def not_run_because(self) -> str | None:
        """The reason given for not running it; None where it runs."""
        found = re.search(r"no-run: (.+)", self.marks)
        return found[1] if found else None

    @property
    def file(self) -> str | None:
        """The file that it is."""
        found = re.search(r"file=(\S+)", self.marks)
        return found[1] if found else None


class Step(NamedTuple):
    """One command of a console block and what is shown below it."""

    command: str
    exits: set[int]
    shown: list[str]


class Done(NamedTuple):
    """What came of a command."""

    exit_code: int
    stdout: str
    stderr: str


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page's text, those within lists included."""
    found = []
    for match in _FENCE.finditer(page):
        indent, language, marks, text = match.groups()
        lines = [line.removeprefix(indent) for line in text.splitlines()]
        number = page.count("\n", 0, match.start()) + 1
        found.append(Block(language, marks, "\n".join(lines), number))
    return found


def steps_of(block: Block) -> list[Step]:
    """Return the commands of a console block; one may go on after a backslash."""
    varied = re.search(r"exit=(\S+)", block.marks)
    usual = {int(code) for code in varied[1].split("|")} if varied else {0}
    steps: list[Step] = []
    goes_on = False
    for line in block.text.splitlines():
        if goes_on or line.startswith("$ "):
            text = line.removeprefix("> ") if goes_on else line[2:]
            known = steps.pop().command + "\n" if goes_on else ""
            goes_on = text.endswith("\\")
            said = _EXIT.search(text)
            exits = {int(said[1])} if said else usual
            steps.append(Step(known + _EXIT.sub("", text), exits, []))
        elif steps:
            steps[-1].shown.append(line)
        else:
            raise ValueError(f"line {block.line}: output before any command: {line!r}")
    return steps


def quicker(command: str) -> str:
    """Return the command with less time for what it measures."""

    def hasten(match: re.Match[str]) -> str:
        options = QUICKER[match[2]]
        load = re.search(r"--load (\d+)", command)
        if "--compare" in command and load is not None:
            window_s = max(1.0, COMPARED_REQUESTS / int(load[1]))
            options = f"--duration {math.ceil(1.2 * COMPARED_WINDOWS * window_s)}s"
        return f"{match[1]} {options}"

    names = "|".join(QUICKER)
    unhurried = re.sub(r" --(budget|duration)[ =]\S+", "", command)
    if "--dry-run" in command or not re.search(rf"\bautotune ({names})\b", unhurried):
        return command
    return re.sub(rf"\b(autotune ({names}))\b(?! --help)", hasten, unhurried)


def run(command: list[str], folder: Path) -> Done:
    """Run a program with the interpreter of the tests first on the path.

    Raises:
        subprocess.TimeoutExpired: it does not end.
    """
    path = f"PATH={Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    # What other pages measured is not to be known here, and is not compared, so none waits.
    own = [f"XDG_DATA_HOME={folder}.data", "AUTOTUNE_ALLOW_SHARED=yes"]
    keep_machine(Path(f"{folder}.data"))
    done = subprocess.run(
        ["/usr/bin/env", path, "COLUMNS=80", *own, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def given_files(page: str) -> list[str]:
    """Return the files that the page says stand in its folder to begin with."""
    return [file for names in re.findall(r"<!-- given: (.+) -->", page) for file in names.split()]


def run_page(page: str, folder: Path) -> Iterator[str]:
    """Run the page's blocks in a folder; return what differs from the page, a complaint each."""
    printed: Done | None = None
    for block in blocks_of(page):
        if block.file is not None:
            (folder / block.file).write_text(block.text + "\n", encoding="utf-8")
        if block.language == "output" and printed is not None:
            yield from _differing(block, block.text.splitlines(), printed)
        if block.not_run_because is not None or block.file is not None:
            continue
        if block.language == "python":
            program = re.sub(r"\b(budget_s|duration_s)=\d+", rf"\1={PYTHON_S}", block.text)
            printed = run([sys.executable, "-c", program], folder)
            if printed.exit_code:
                yield f"line {block.line}: exit {printed.exit_code}\n{printed.stderr}"
        if block.language == "console":
            yield from _run_console(block, folder)


def _run_console(block: Block, folder: Path) -> Iterator[str]:
    for step in steps_of(block):
        done = run(["bash", "-c", quicker(step.command)], folder)
        if done.exit_code not in step.exits:
            yield (
                f"line {block.line}: `{step.command}` exits with {done.exit_code}, not "
                f"{sorted(step.exits)}\n{done.stdout}{done.stderr}"
            )
        yield from _differing(block, step.shown, done)


def _differing(block: Block, shown: list[str], done: Done) -> Iterator[str]:
    printed = done.stdout if done.stdout.strip() else done.stderr
    if not shown:
        return
    if "varies" in block.marks.split():
        shown = [line for line in shown if shape(line) not in ("", "...")][:1]
        same = all(shape(line) in shape(printed) for line in shown)
    else:
        same = matches(shown, printed.splitlines())
    if not same:
        text = "\n".join(shown)
        yield f"line {block.line}: shows\n{text}\n\nwhere there is\n{done.stdout}{done.stderr}"


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether lines are what was printed but for numbers, spaces, and lines left out as `...`."""
    wanted = [one for one in map(shape, shown) if one]
    lines = [one for one in map(shape, printed) if one]
    parts: list[list[str]] = [[]]
    for line in wanted:
        if line == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    first, *others = parts
    if lines[: len(first)] != first:
        return False
    at = len(first)
    for part in others[:-1]:
        found = _find(part, lines, at)
        if found is None:
            return False
        at = found + len(part)
    if not others:
        return at == len(lines)
    last = others[-1]
    return not last or (len(lines) - len(last) >= at and lines[-len(last) :] == last)


def _find(part: list[str], lines: list[str], at: int) -> int | None:
    for start in range(at, len(lines) - len(part) + 1):
        if lines[start : start + len(part)] == part:
            return start
    return None


def shape(text: str) -> str:
    """Return a text without what differs from run to run: numbers, configurations, widths."""
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    numberless = re.sub(r"\d[\d,.]*", "#", _CONFIG.sub("CONFIG", plain))
    return re.sub(r"[\s─━-]+", " ", numberless).strip()


def commands_in(text: str) -> list[list[str]]:
    """Return the words of each command of autotune in a text, such as a workflow's."""
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        for part in re.split(r"\|\||&&|[|;]", line):
            if match := re.search(r"(?<![\w/.-])autotune ([a-z]+\b.*)", part):
                found.append(shlex.split(match[1], comments=True))
    return found


def spans_of(page: str) -> list[str]:
    """Return what stands in backticks within the page's prose."""
    prose = re.sub(r"^( *)```.*?^\1```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)
