"""Every exit code of every command, in one table: help and documentation are made from it."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from autotune.config_file import Status
    from autotune.drift.records import DriftAnswer
    from autotune.planning.records import Answer
    from autotune.stages.gate import GateAnswer
    from autotune.stages.measurement import Measurement


class ExitCode(IntEnum):
    """What an exit code is called in this program."""

    ANSWERED = 0
    MISSED = 1
    MISTAKE = 2
    DIFFERS = 3
    UNDECIDED = 4
    STALE = 5
    FAULT = 70
    INTERRUPTED = 130
    CLOSED = 141
    TERMINATED = 143


class Meaning(NamedTuple):
    """What some commands say with an exit code."""

    code: ExitCode
    commands: tuple[str, ...]
    """Empty: all."""
    means: str


_OTHERS = ("measure", "verify", "check")

EXIT_CODES = (
    Meaning(ExitCode.ANSWERED, (), "answered; the SLO is met (PASS); the file holds"),
    Meaning(ExitCode.MISSED, ("search",), "the SLO is not met at every load; the file is written"),
    Meaning(ExitCode.MISSED, ("fleet",), "the SLO is not met at every load of a machine type"),
    Meaning(ExitCode.MISSED, ("measure",), "FAIL: the SLO is proven missed"),
    Meaning(ExitCode.MISSED, ("verify",), "the SLO is missed at a load that the file promises"),
    Meaning(ExitCode.MISSED, ("check",), "the SLO is missed"),
    Meaning(ExitCode.MISSED, ("watch",), "the SLO is proven missed"),
    Meaning(ExitCode.MISSED, ("plan",), "no plan meets the SLO; the nearest is named"),
    Meaning(ExitCode.MISSED, ("doctor",), "something will spoil measurements"),
    Meaning(ExitCode.MISTAKE, (), "a mistake in what was given; one line says which"),
    Meaning(ExitCode.DIFFERS, ("verify",), "a setting without effect, or other answers"),
    Meaning(ExitCode.DIFFERS, ("check",), "a regression against the file"),
    Meaning(ExitCode.DIFFERS, ("watch",), "drifted: loads or latencies are proven to be others"),
    Meaning(ExitCode.UNDECIDED, ("watch",), "too few requests to tell"),
    Meaning(ExitCode.UNDECIDED, ("fleet",), "a machine type is missing; the file says why"),
    Meaning(ExitCode.UNDECIDED, ("measure", "check"), "undecided, or the numbers are INVALID"),
    Meaning(ExitCode.STALE, ("check",), "made for another model, machine or runtime"),
    Meaning(ExitCode.FAULT, (), "a fault of autotune itself; please report its traceback"),
    Meaning(
        ExitCode.INTERRUPTED, ("search", "fleet"), "interrupted; the best so far is written, if any"
    ),
    Meaning(ExitCode.INTERRUPTED, _OTHERS, "interrupted"),
    Meaning(ExitCode.CLOSED, (), "whoever read the output stopped reading"),
    Meaning(
        ExitCode.TERMINATED, ("search", "fleet"), "terminated; the best so far is written, if any"
    ),
    Meaning(ExitCode.TERMINATED, _OTHERS, "terminated"),
)
"""The codes never change their meaning; new ones may come."""

SEARCHED: "Mapping[Status, ExitCode]" = {
    "complete": ExitCode.ANSWERED,
    "slo_not_met": ExitCode.MISSED,
    "interrupted": ExitCode.INTERRUPTED,
}
"""What `search` ends with, by the status of what it found."""

CHECKED: "Mapping[GateAnswer, ExitCode]" = {
    "holds": ExitCode.ANSWERED,
    "slo_missed": ExitCode.MISSED,
    "regression": ExitCode.DIFFERS,
    "undecided": ExitCode.UNDECIDED,
    "stale": ExitCode.STALE,
}
"""Likewise `check`, by its answer."""

WATCHED: "Mapping[DriftAnswer, ExitCode]" = {
    "fits": ExitCode.ANSWERED,
    "slo_missed": ExitCode.MISSED,
    "drifted": ExitCode.DIFFERS,
    "too_little": ExitCode.UNDECIDED,
}
"""Likewise `watch`."""

PLANNED: "Mapping[Answer, ExitCode]" = {"met": ExitCode.ANSWERED, "not_met": ExitCode.MISSED}
"""Likewise `plan`."""


def of_measurement(found: "Measurement") -> ExitCode:
    """Return what `measure` ends with; of two configurations, the first one's verdict counts."""
    answer = found.sides[0].slo.answer
    if answer == "UNDECIDED" or not all(side.validity.valid for side in found.sides):
        return ExitCode.UNDECIDED
    return ExitCode.ANSWERED if answer == "PASS" else ExitCode.MISSED


def meanings_for(command: str) -> list[tuple[str, str]]:
    """Return code and meaning of each that is the command's own: what all have is left out."""
    return [(str(int(one.code)), one.means) for one in EXIT_CODES if command in one.commands]


def all_meanings() -> list[tuple[str, str]]:
    """Return code and meaning of each, the commands named where not all end with it."""
    return [
        (str(int(one.code)), ": ".join(filter(None, (", ".join(one.commands), one.means))))
        for one in EXIT_CODES
    ]
