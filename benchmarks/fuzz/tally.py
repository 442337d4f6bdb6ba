"""How each try ended, and the table of all."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from autotune.cli.mistakes import LONGEST, complaint

End = Literal["well", "refused", "died", "over_time", "over_memory", "unclear"]
HEADS: dict[End, str] = {
    "well": "ended well",
    "refused": "refused in one line",
    "died": "child crashed or stopped (told as such)",
    "over_time": "over time",
    "over_memory": "over memory",
    "unclear": "traceback or unclear line",
}
BAD: tuple[End, ...] = ("over_time", "over_memory", "unclear")
_INTERNALS = re.compile(
    r"Traceback|<class|<built-in|<function| object at 0x"
    r"|\b(Key|Type|Attribute|Index|Name|Value|Unicode\w*)Error"
)
_ELLIPSIS = len(" ... ")


class Try(NamedTuple):
    """How one try ended."""

    end: End
    line: str = ""
    """What was said; of a fault, its traceback."""


class Tally:
    """Counts the ends of tries of one sort, and keeps what ended badly."""

    def __init__(self, what: str, keep: Path | None) -> None:
        """Count tries of `what`; keep the files of bad ones in a folder."""
        self.what = what
        self.ends: Counter[End] = Counter()
        self.lines: Counter[str] = Counter()
        self.bad: list[str] = []
        self.seconds = 0.0
        self._keep = keep

    def add(self, one: Try, data: bytes) -> None:
        """Count a try that was made with these bytes."""
        self.ends[one.end] += 1
        self.lines[re.sub(r"\d+|'[^']*'|/\S+", "_", one.line)[:100]] += 1
        if one.end in BAD:
            self.bad.append(f"{one.end}: {one.line}")
            if self._keep is not None:
                self._keep.mkdir(parents=True, exist_ok=True)
                name = f"{self.what.replace(' ', '-')}-{len(self.bad)}"
                (self._keep / name).write_bytes(data)

    @property
    def tries(self) -> int:
        """How many there were."""
        return sum(self.ends.values())


def end_of_line(message: str) -> Try:
    """Return whether a complaint is one clear line, as it would be shown."""
    shown = complaint(message)
    clear = (
        0 < len(shown) <= LONGEST + _ELLIPSIS
        and shown.isprintable()
        and "\n" not in message
        and not _INTERNALS.search(message)
    )
    return Try("refused" if clear else "unclear", message)


def table(tallies: list[Tally]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| what | tries | {' | '.join(HEADS.values())} | seconds |"
    yield "|---|" + "---:|" * (len(HEADS) + 2)
    for one in tallies:
        counts = " | ".join(f"{one.ends[end]:,}" for end in HEADS)
        yield f"| {one.what} | {one.tries:,} | {counts} | {one.seconds:.0f} |"
