"""`autotune.dry_run`: what a call would measure and for how long, without measuring."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec

from autotune.api.result import Result
from autotune.errors import UsageError
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.present.planned import AnyPlan, plan_page

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")

_DRY: ContextVar[bool] = ContextVar("autotune_dry_run", default=False)
"""Whether the call under way, in this thread and task, is a dry run."""


class _Stopped(Exception):
    def __init__(self, plan: AnyPlan) -> None:
        super().__init__()
        self.plan = plan


class Plan(Result[AnyPlan]):
    """What a call would measure, and for how long."""

    @property
    def exit_code(self) -> int:
        """0: it was planned."""
        return 0

    def to_pandas(self) -> "pd.DataFrame":
        """Return the plan as a table of two columns, `what` and `is`."""
        from autotune.api.frames import plan_frame

        return plan_frame(self.record)

    def __repr__(self) -> str:
        """The kind of plan."""
        return f"<autotune.Plan: {type(self.record).__name__}>"

    def _page(self, wide: bool) -> Document:
        return page_in_python(plan_page(self.record))


@speaks_python
def dry_run(function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Plan:
    """Say what a call of `search`, `measure`, `check` or `verify` would measure, and for how long.

        print(autotune.dry_run(autotune.search, "model.onnx", slo_ms=50))

    Arguments are checked as for real, and the model is loaded and run once; nothing is measured or
    written.

    Args:
        function: the function to call.
        args: what it would be called with.
        kwargs: likewise, by name.

    Raises:
        UsageError: an argument cannot be used, or the function measures nothing.
        ModelError: there is no such model, or it cannot be run.
        ConfigFileError: a tuned file cannot be read.
    """
    before = _DRY.set(True)
    try:
        function(*args, **kwargs)
    except _Stopped as stopped:
        return Plan(stopped.plan)
    finally:
        _DRY.reset(before)
    raise UsageError(f"function={function!r} is none of search, measure, check and verify")


def stop_if_dry(make_plan: Callable[[], AnyPlan]) -> None:
    """End a call here if it is a dry run."""
    if _DRY.get():
        raise _Stopped(make_plan())
