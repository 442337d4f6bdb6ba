"""A person's CSV file as numbered rows, read one after the other."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from autotune.bounded_file import open_regular
from autotune.errors import UsageError

LONGEST_LINE = 1 << 20
"""Characters, of a line."""
MOST_LINES = 1000
"""Over which one row may run, with line breaks in quotes."""


def read_rows(path: Path, option: str, most_bytes: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells without outer spaces) of every row that is not blank.

    Raises:
        UsageError: the file cannot be read, is no regular file, too large, or no text.
    """
    try:
        with open_regular(path, most_bytes) as raw:
            lines = _Lines(io.TextIOWrapper(io.BufferedReader(raw), "utf-8-sig", newline=""))
            reader = csv.reader(lines)
            for row in reader:
                lines.of_row = 0
                if row:
                    yield reader.line_num, [cell.strip() for cell in row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{option} {path}: cannot be read: {reason}") from None


class _Lines(Iterator[str]):
    """Lines of bearable length, of which one row takes bearably many."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self.of_row = 0

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.of_row += 1
        if len(line) > LONGEST_LINE or self.of_row > MOST_LINES:
            raise csv.Error("a row is too long")
        return line
