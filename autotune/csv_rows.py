"""A person's CSV file as numbered rows."""

import csv
from pathlib import Path

from autotune.errors import UsageError


def read_rows(path: Path, option: str) -> list[tuple[int, list[str]]]:
    """Return (line, cells without outer spaces) of every row that is not blank.

    Raises:
        UsageError: the file cannot be read, or is no text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{option} {path}: cannot be read: {reason}") from None
