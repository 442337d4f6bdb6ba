"""What all results of the Python interface have in common."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from autotune.present.shown import Shown

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")


class Result(Shown, Generic[R]):
    """A result: `print(result)` gives text, a notebook shows tables, `record` holds everything."""

    def __init__(self, record: R) -> None:
        """Wrap what was found."""
        self.record: R = record
        """Everything that was found, as plain frozen records."""

    @property
    @abstractmethod
    def exit_code(self) -> int:
        """What the command of the same name exits with."""

    @abstractmethod
    def to_pandas(self) -> "pd.DataFrame":
        """Return the result as a table; needs pandas."""

    def to_json(self) -> str:
        """Return what the command of the same name prints with `--json`."""
        return msgspec.json.format(msgspec.json.encode(self.record), indent=2).decode() + "\n"
