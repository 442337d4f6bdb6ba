"""Where plans are written."""

from pathlib import Path

from autotune.errors import UsageError
from autotune.planning.records import Plan
from autotune.reports.writing import write_out
from autotune.tabular import to_json

TUNED_SUFFIX = ".autotune.json"


def write_plan(path: Path, plan: Plan, option: str = "-o") -> Path:
    """Write a plan as JSON; return where.

    Raises:
        UsageError: the place cannot be written, or is named like a tuned file.
    """
    if path.name.endswith(TUNED_SUFFIX):
        raise UsageError(
            f"{option} {path}: is named like a tuned file, which a plan is not: call it plan.json"
        )
    return write_out(path, to_json(plan).encode(), option)
