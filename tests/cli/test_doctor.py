"""`autotune doctor` on this machine, whatever is wrong with it, and its table on a made one."""

import json
import os
import subprocess
import sys

import pytest

from autotune.cli.page import print_page
from autotune.diagnosis.finding import finding
from autotune.present.findings import findings_page

CHECKS = {
    "other load", "steal", "wake-ups", "quota", "throttling", "memory", "governor", "turbo",
    "network", "core types", "smt", "numa", "hypervisor", "clock", "energy", "speed",
}  # fmt: skip


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autotune", "doctor", *arguments]
    narrow = os.environ | {"COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=narrow)


def test_json_alone_is_printed_and_the_exit_code_says_whether_something_spoils() -> None:
    done = doctor("--json")
    findings = json.loads(done.stdout)
    levels = [one["level"] for one in findings]
    assert {one["check"] for one in findings} == CHECKS
    assert len(findings) == len(CHECKS)
    assert levels == sorted(levels, key=["spoils", "note", "unknown", "ok"].index)
    assert done.returncode == int("spoils" in levels)
    assert done.stderr == ""


def test_a_person_reads_every_check_and_one_sentence_within_80_columns() -> None:
    done = doctor()
    assert done.returncode == int(any(line.startswith("spoils") for line in lines(done.stdout)))
    assert max(map(len, lines(done.stdout))) <= 80
    assert all(f" {check} " in done.stdout for check in CHECKS)
    assert "will spoil measurements" in lines(done.stdout)[-1]
    assert "\x1b" not in done.stdout


def test_a_remedy_stands_below_what_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = [
        finding("other load", "spoils", "A process [kworker] computes.", "Stop it."),
        finding("clock", "ok", "The clock source is tsc."),
    ]
    print_page(findings_page(found))
    assert lines(capsys.readouterr().out) == [
        "level   check       found, and what to do",
        "spoils  other load  A process [kworker] computes.",
        "                    -> Stop it.",
        "ok      clock       The clock source is tsc.",
        "",
        "1 thing will spoil measurements: other load.",
    ]


def lines(text: str) -> list[str]:
    return text.splitlines()
