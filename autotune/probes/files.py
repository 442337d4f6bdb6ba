"""The kernel's small text files: read whole, and missing where a platform lacks them."""

from pathlib import Path


def read_text(path: Path) -> str:
    """Return the text without outer white space; empty where the file cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """Return the whole number that the file begins with; None where it does not."""
    first = read_text(path).split("\n", 1)[0]
    return int(first) if first.isdecimal() else None


def read_table(path: Path) -> dict[str, int]:
    """Return the numbers of lines such as `pswpin 3` or `MemTotal: 1024 kB` by their names."""
    rows = (line.split() for line in read_text(path).splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}
