"""The measuring bench: keeps child processes by session shape and measures what it is asked."""

import tempfile
from collections import OrderedDict
from types import TracebackType

from autotune.errors import MeasureError, ModelError, UsageError
from autotune.outcome import Failed, ModelInfo, ServiceTimes, TrialOutcome
from autotune.spec import ModelSpec, SessionShape, TrialSpec
from autotune.trial import wire
from autotune.trial.spawn import Child

LOAD_TIMEOUT_S = 600.0
"""A model of many gigabytes from a cold disk may take minutes; more is a hang."""
_GRACE_S = 15.0
MAX_CHILDREN = 6
"""Idle sessions cost memory but no time; returning to one saves loading it again."""


class Bench:
    """Child processes with open sessions, least recently used first out. Use as a context.

    The only place where a measurement is made: `measure(TrialSpec) -> TrialOutcome`.
    """

    def __init__(self, model: ModelSpec) -> None:
        """Measure this model."""
        self.model = model
        self._children: OrderedDict[SessionShape, Child] = OrderedDict()
        self._memory_bytes: int | None = None
        self._footprint_bytes = 0
        self._outputs: tempfile.TemporaryDirectory[str] | None = None

    def inspect(self) -> ModelInfo:
        """Load and run the model once, in a child of its own.

        What it answered is kept until the bench is closed: sessions opened from now on must give
        the same answers, where these can be checked.

        Raises:
            ModelError: it cannot be loaded or run.
            UsageError: the shapes or inputs given do not fit it.
        """
        self._drop_outputs()
        folder = self._outputs = tempfile.TemporaryDirectory(prefix="autotune-")
        child = Child()
        try:
            reply = child.ask(
                wire.Inspect(model=self.model, outputs_folder=folder.name), LOAD_TIMEOUT_S
            )
        finally:
            child.close()
        if not (isinstance(reply, ModelInfo) and reply.outputs_checked):
            self._drop_outputs()
        match reply:
            case ModelInfo():
                return reply
            case wire.Refused():
                raise (UsageError if reply.usage else ModelError)(reply.message)
            case Failed():
                raise ModelError(f"{self.model.path}: cannot be run: {reply.detail}")
        raise MeasureError(f"unexpected reply {type(reply).__name__}")

    def limit_memory(self, available_bytes: int | None, footprint_bytes: int) -> None:
        """Keep the replicas of all children within `available_bytes`, where that is known."""
        self._memory_bytes, self._footprint_bytes = available_bytes, footprint_bytes

    def is_warm(self, shape: SessionShape) -> bool:
        """Whether sessions of this shape stand already, so that measuring costs no loading."""
        return shape in self._children

    def service_times(
        self, shape: SessionShape, request: wire.ClosedLoop, timeout_s: float
    ) -> ServiceTimes | Failed:
        """Sample service times in a closed loop."""
        reply = self._ask(shape, request, timeout_s)
        if isinstance(reply, ServiceTimes | Failed):
            return reply
        raise MeasureError(f"unexpected reply {type(reply).__name__}")

    def measure(self, trial: TrialSpec) -> TrialOutcome:
        """Serve one schedule with one configuration."""
        timeout_s = trial.arrivals_s[-1] + trial.give_up.delay_s + trial.give_up.hold_s + _GRACE_S
        shape = trial.config.session_shape
        reply = self._ask(shape, wire.OpenLoop(trial=trial), timeout_s)
        if isinstance(reply, TrialOutcome):
            return reply
        raise MeasureError(f"unexpected reply {type(reply).__name__}")

    def close(self) -> None:
        """Kill all children and forget the model's outputs."""
        while self._children:
            self._children.popitem()[1].close()
        self._drop_outputs()

    def __enter__(self) -> "Bench":
        """Return the bench."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill all children."""
        self.close()

    def _ask(self, shape: SessionShape, request: wire.Request, timeout_s: float) -> wire.Reply:
        child = self._children.pop(shape, None)
        if child is None:
            self._make_room(shape)
            child = Child()
            # Known from birth: an interrupt while it loads must find it here.
            self._children[shape] = child
            folder = self._outputs.name if self._outputs is not None else None
            opened = child.ask(
                wire.Open(model=self.model, shape=shape, outputs_folder=folder), LOAD_TIMEOUT_S
            )
            del self._children[shape]
            if not isinstance(opened, wire.Opened):
                child.close()
                return _as_failure(opened)
        self._children[shape] = child
        reply = child.ask(request, timeout_s)
        if isinstance(reply, Failed):
            self._children.pop(shape).close()
        return reply

    def _drop_outputs(self) -> None:
        if self._outputs is not None:
            self._outputs.cleanup()
            self._outputs = None

    def _make_room(self, shape: SessionShape) -> None:
        while self._children and not self._fits(shape):
            self._children.popitem(last=False)[1].close()

    def _fits(self, shape: SessionShape) -> bool:
        if len(self._children) >= MAX_CHILDREN:
            return False
        if self._memory_bytes is None:
            return True
        replicas = shape.replicas + sum(open_shape.replicas for open_shape in self._children)
        return replicas * self._footprint_bytes <= self._memory_bytes


def _as_failure(reply: wire.Reply) -> Failed:
    if isinstance(reply, Failed):
        return reply
    if isinstance(reply, wire.Refused):
        return Failed(kind="load_error", detail=reply.message)
    raise MeasureError(f"unexpected reply {type(reply).__name__}")
