"""Text of foreign origin on its way to a terminal, or to the log of a CI system."""

import re

from autotune.tabular import printable


def clean(text: str) -> str:
    """Return text of foreign origin as one line that steers no terminal and commands no CI."""
    return commands_nothing(printable(" ".join(text.split())))


_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\w*\[)")
"""What CI systems take for a command in a log: `::add-mask::` where a line begins, `##[group]` and
`##vso[...]` anywhere."""


def commands_nothing(line: str) -> str:
    """Return a printable line in which no CI system finds a command; what would be one is escaped.

    Sources: the runner of GitHub Actions (`ActionCommand`), Azure's "Logging commands", TeamCity's
    "Service messages".
    """
    return _COMMAND.sub(lambda found: f"{found[1] or ''}\\x{ord(found[0][-1]):02x}", line)
