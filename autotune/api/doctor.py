"""`autotune.doctor`: what about this machine will spoil measurements."""

from typing import TYPE_CHECKING

from autotune.api.result import Result
from autotune.cli.exit_codes import ExitCode
from autotune.diagnosis.examine import examine
from autotune.diagnosis.finding import Finding, verdict
from autotune.present.document import Document
from autotune.present.findings import findings_page
from autotune.stages.traits import kept_traits

if TYPE_CHECKING:
    import pandas as pd


class DoctorResult(Result[list[Finding]]):
    """What was looked at, worst first, with what to do."""

    @property
    def healthy(self) -> bool:
        """Whether nothing here will spoil measurements."""
        return not any(one.level == "spoils" for one in self.record)

    @property
    def exit_code(self) -> int:
        """0 healthy; 1 something spoils measurements."""
        return ExitCode.ANSWERED if self.healthy else ExitCode.MISSED

    def to_pandas(self) -> "pd.DataFrame":
        """Return the findings, a row each."""
        from autotune.api.frames import findings_frame

        return findings_frame(self.record)

    def __repr__(self) -> str:
        """The verdict."""
        return f"<autotune.DoctorResult: {verdict(self.record)}>"

    def _page(self, wide: bool) -> Document:
        return findings_page(self.record)


def doctor() -> DoctorResult:
    """Watch this machine for a second, and say what will spoil measurements, and what to do.

    print(autotune.doctor())
    """
    return DoctorResult(examine(kept_traits()))
