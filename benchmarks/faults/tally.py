"""What came of all tries of one fault, and the table."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

HEAD = ("fault", "tries", "lost", "wrong", "leaked", "unclear", "seconds")


class Tally(NamedTuple):
    """One fault."""

    fault: str
    tries: int
    lost: int = 0
    """Measurements that were completed and are not in the store."""
    wrong: int = 0
    """Numbers that are false, files that are no whole files, answers that differ."""
    leaked: int = 0
    """Processes, and files that the next run does not remove."""
    unclear: int = 0
    """Ends that were no success, and not one clear line and the right exit code either."""
    seconds: float = 0.0
    note: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.lost or self.wrong or self.leaked or self.unclear)

    def __add__(self, other: object) -> "Tally":
        """Add up the counts of two lots of tries."""
        assert isinstance(other, Tally)
        return self._replace(
            tries=self.tries + other.tries,
            lost=self.lost + other.lost,
            wrong=self.wrong + other.wrong,
            leaked=self.leaked + other.leaked,
            unclear=self.unclear + other.unclear,
            seconds=self.seconds + other.seconds,
            note=self.note or other.note,
        )


def table(tallies: Iterable[Tally]) -> Iterator[str]:
    """Return the lines of a table in Markdown."""
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * len(HEAD)}"
    for one in tallies:
        numbers = (one.tries, one.lost, one.wrong, one.leaked, one.unclear, round(one.seconds))
        fault = f"{one.fault} ({one.note})" if one.note else one.fault
        yield f"| {fault} | {' | '.join(map(str, numbers))} |"
