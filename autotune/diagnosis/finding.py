"""What a check says."""

from typing import Literal

from autotune.spec import Record

Level = Literal["spoils", "note", "unknown", "ok"]
_WORST_FIRST: tuple[Level, ...] = ("spoils", "note", "unknown", "ok")


class Finding(Record, frozen=True):
    """One thing that was looked at."""

    check: str
    level: Level
    """`spoils`: numbers measured now mislead. `note`: they hold, if one knows this."""
    found: str
    """One sentence."""
    remedy: str
    """What to do; empty where the level is `ok`."""


def finding(check: str, level: Level, found: str, remedy: str = "") -> Finding:
    """Return the record; every level but `ok` needs a remedy.

    Raises:
        ValueError: a remedy for what is well, or none for what is not.
    """
    if (level == "ok") == bool(remedy):
        raise ValueError(f"{check}: {level} with remedy {remedy!r}")
    return Finding(check=check, level=level, found=found, remedy=remedy)


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Return the findings by level, within a level in the given order."""
    return sorted(findings, key=lambda one: _WORST_FIRST.index(one.level))


def verdict(findings: list[Finding]) -> str:
    """Return the sentence that sums the findings up."""
    names = [one.check for one in findings if one.level == "spoils"]
    if not names:
        return "Nothing here will spoil measurements."
    things = f"{len(names)} thing{'s' if len(names) > 1 else ''}"
    return f"{things} will spoil measurements: {', '.join(names)}."
