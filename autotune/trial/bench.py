"""The measuring bench: keeps child processes by session shape and measures what it is asked."""

import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from autotune.errors import MeasureError, ModelError, UsageError
from autotune.outcome import ModelInfo, ServiceTimes, TrialOutcome
from autotune.probes.scratch import scratch, sweep
from autotune.probes.topology import format_cpus
from autotune.records import Failed, Placement
from autotune.runtime_environment import (
    CPUS,
    Binding,
    binding_of,
    compiled_in,
    environment_of,
    is_torch,
)
from autotune.spec import (
    Allowed,
    ModelSpec,
    Provider,
    ServingConfig,
    SessionShape,
    TrialSpec,
    runtime_default,
)
from autotune.stats.judge import Decides
from autotune.trial import wire
from autotune.trial.circumstances import Circumstances
from autotune.trial.spawn import Child, Meanwhile, Tell, survived
from autotune.trial.watch import Watch

T = TypeVar("T")

LOAD_TIMEOUT_S = 600.0
"""A model of many gigabytes from a cold disk may take minutes; more is a hang."""
AGAIN_TIMEOUT_S, AGAIN_TIMES = 60.0, 20.0
"""For a model that was loaded and run before: so long, and so many times as long as that took."""
MAX_CHILDREN = 6
"""Idle sessions cost memory but no time; returning to one saves loading it again."""


class _Profiler(NamedTuple):
    child: Child
    shape: SessionShape | None
    """What stands; None: nothing yet."""
    binding: Binding


class _Seat(NamedTuple):
    """What a child is kept for."""

    shape: SessionShape
    cpus: frozenset[int] | None = None
    """To which it is confined; None: all that may be used."""


class Bench:
    """Child processes with open sessions, least recently used first out. Use as a context.

    The only place where a measurement is made: `measure(TrialSpec) -> TrialOutcome`.
    """

    def __init__(
        self,
        model: ModelSpec,
        allowed: Allowed | None = None,
        pipes: Mapping[str, int] | None = None,
    ) -> None:
        """Measure this model, with what may be tried of what its runtime has to offer.

        `pipes` are as `Child` has them.
        """
        self.model = model
        self._pipes = pipes
        self.allowed = allowed or Allowed()
        self._around = Circumstances()
        sweep()
        self.opening_s = 0.0
        """Seconds until models and sessions stood that were asked for so far."""
        self.starting_s = 0.0
        """Seconds until something serves, beside those of opening its sessions."""
        self._nodes: dict[Provider, dict[str, int]] = {}
        self._children: OrderedDict[_Seat, Child] = OrderedDict()
        self._profiler: _Profiler | None = None
        self._started: list[Child] = []
        self._memory_bytes: int | None = None
        self._footprint_bytes = 0
        self._outputs: tempfile.TemporaryDirectory[str] | None = None
        self._products: tempfile.TemporaryDirectory[str] | None = None
        self._is_torch = not model.is_named_onnx  # until it was inspected
        self._load_timeout_s = self._inspected_s = LOAD_TIMEOUT_S
        self._tell: Tell = lambda opening: None

    def now_s(self) -> float:
        """Return the seconds on a clock that only ever goes forward."""
        return time.monotonic()

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """Decide what depends on the clock; nothing is known here of how it was before."""
        return compute()

    def presume(self, search: int) -> None:
        """Know of no other search."""

    def report_to(self, tell: Tell) -> None:
        """Tell from now on how many of the sessions to be opened stand; all of them: it is done."""
        self._tell = tell

    def limit_loading(self, seconds: float) -> None:
        """Give a model up that was not loaded and run within these seconds."""
        self._load_timeout_s = min(LOAD_TIMEOUT_S, seconds)

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        """Load and run the model once, in a child of its own.

        Its requests are left in `requests_folder`, if there is one, as the outputs are.

        What it answered is kept until the bench is closed: sessions opened from now on must give
        the same answers, where these can be checked.

        Raises:
            ModelError: it cannot be loaded or run.
            UsageError: the shapes or inputs given do not fit it.
        """
        self._drop_outputs()
        folder = self._outputs = scratch()
        request = wire.Inspect(
            model=self.model,
            outputs_folder=folder.name,
            requests_folder=requests_folder,
            allowed=self.allowed,
        )
        started_s = time.monotonic()
        child = self._start(runtime_default(self.allowed.device).session_shape)
        try:
            reply = child.ask(request, self._load_timeout_s)
            self._inspected_s = time.monotonic() - started_s
            self.opening_s += self._inspected_s
        finally:
            child.close()
        if not (isinstance(reply, ModelInfo) and reply.outputs_checked):
            self._drop_outputs()
        match reply:
            case ModelInfo():
                self._is_torch = is_torch(reply.runtime)
                return reply
            case wire.Refused():
                raise (UsageError if reply.usage else ModelError)(reply.message)
            case Failed():
                raise ModelError(f"{self.model.path}: cannot be run: {reply.detail}")
        raise MeasureError(f"unexpected reply {type(reply).__name__}")

    @property
    def outputs_folder(self) -> str | None:
        """Where the default session's outputs are; None where they cannot be checked against."""
        return self._outputs.name if self._outputs is not None else None

    @property
    def placements(self) -> list[Placement]:
        """Who executes the model's nodes, for each provider that was opened and tells."""
        return [Placement(provider=one, nodes=nodes) for one, nodes in self._nodes.items()]

    @property
    def compiled_s(self) -> float:
        """Seconds that all children have spent on compiling the model, those that ended as well."""
        return sum(child.compiled_s for child in self._started)

    def limit_memory(self, available_bytes: int | None, footprint_bytes: int) -> None:
        """Keep the replicas of all children within `available_bytes`, where that is known."""
        self._memory_bytes, self._footprint_bytes = available_bytes, footprint_bytes

    def is_warm(self, config: ServingConfig) -> bool:
        """Whether its sessions stand already, so that measuring costs no loading."""
        shape = config.session_shape
        standing = self._profiler is not None and self._profiler.shape == shape
        return standing or _Seat(shape) in self._children

    def service_times(
        self, shape: SessionShape, request: wire.ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        """Sample service times in a closed loop.

        One child opens sessions of one shape after the other, which saves starting many, as long
        as these can share a process. Those that it has last, and any that are to be kept, stay
        open for measurements.

        Raises:
            MeasureError: the machine is no longer what it was.
        """
        return self._around.unsuspended(lambda: self._times(shape, request, timeout_s, keep))

    def _times(
        self, shape: SessionShape, request: wire.ClosedLoop, timeout_s: float, keep: bool
    ) -> ServiceTimes | Failed:
        if keep:
            reply = self._ask(_Seat(shape), request, timeout_s)
            return reply if isinstance(reply, ServiceTimes) else wire.as_failure(reply)
        profiler = self._profiler_for(shape)
        if profiler.shape != shape:
            opened = self._open_in(profiler.child, shape)
            if isinstance(opened, Failed):
                self._close_profiler()
                return opened
            self._profiler = profiler._replace(shape=shape)
        reply = profiler.child.ask(request, timeout_s)
        self._around.look_at(profiler.child)
        if isinstance(reply, Failed) and not survived(profiler.child, shape, reply):
            self._close_profiler()
        return reply if isinstance(reply, ServiceTimes) else wire.as_failure(reply)

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        """Serve one schedule with one configuration, until it ends or the judge has seen enough.

        Raises:
            MeasureError: the machine is no longer what it was.
        """
        return self._around.unsuspended(lambda: self._run(wire.OpenLoop(trial=trial), None, judge))

    def measure_at(
        self, request: wire.OpenLoop, cpus: frozenset[int] | None
    ) -> TrialOutcome | None:
        """Serve one schedule to its end beside others, on some of the CPUs; None: on all.

        Returns:
            None where a suspension fell into it, so that who ran beside must run again as well.

        Raises:
            MeasureError: the machine is no longer what it was.
        """
        return self._around.once(lambda: self._run(request, cpus, None))

    def _run(
        self, request: wire.OpenLoop, cpus: frozenset[int] | None, judge: Decides | None
    ) -> TrialOutcome:
        trial = request.trial
        seat = _Seat(trial.config.session_shape, cpus)
        child = self._open(seat)
        if isinstance(child, Failed):
            return child
        watch = Watch(trial, child.share_log(len(trial.arrivals_s)), judge)
        # Warming up large batches of a slow model takes its time; from then on the watch is kept.
        timeout_s = self._patience_s(seat.shape) + trial.arrivals_s[-1] + trial.grace_s
        reply = self._ask(seat, request, timeout_s, watch)
        if isinstance(reply, wire.Served):
            return watch.measured(reply)
        return wire.as_failure(reply)

    def idle_cpu_share(self, shape: SessionShape, duration_s: float) -> float | Failed:
        """Return the cores that loaded sessions use while they have nothing to do.

        Raises:
            MeasureError: the machine is no longer what it was.
        """
        return self._around.unsuspended(lambda: self._idle(shape, duration_s))

    def _idle(self, shape: SessionShape, duration_s: float) -> float | Failed:
        idle = wire.Idle(duration_s=duration_s)
        reply = self._ask(_Seat(shape), idle, duration_s + LOAD_TIMEOUT_S)
        if isinstance(reply, wire.Idled):
            return reply.cpu_s / duration_s
        return wire.as_failure(reply)

    def close(self) -> None:
        """Kill all children, forget the model's outputs and what was compiled of it."""
        self._close_children()
        self._drop_outputs()
        if self._products is not None:
            self._products.cleanup()
            self._products = None

    def _close_children(self) -> None:
        self._close_profiler()
        while self._children:
            self._children.popitem()[1].close()

    def __enter__(self) -> "Bench":
        """Return the bench."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill all children."""
        self.close()

    def _ask(
        self,
        seat: _Seat,
        request: wire.Request,
        timeout_s: float,
        meanwhile: Meanwhile | None = None,
    ) -> wire.Reply:
        child = self._open(seat)
        if isinstance(child, Failed):
            return child
        reply = child.ask(request, timeout_s, meanwhile)
        self._around.look_at(child)
        if isinstance(reply, Failed) and not survived(child, seat.shape, reply):
            self._children.pop(seat).close()
        return reply

    def _open(self, seat: _Seat) -> Child | Failed:
        """Return the child with these sessions, as the most recently used."""
        self._keep_profiled()
        if seat in self._children:
            self._children.move_to_end(seat)
            return self._children[seat]
        self._make_room(seat.shape)
        # Known from birth: an interrupt while it loads must find it here.
        child = self._children[seat] = self._start(*seat)
        opened = self._open_in(child, seat.shape)
        if isinstance(opened, Failed):
            self._children.pop(seat).close()
            return opened
        return child

    def _open_in(self, child: Child, shape: SessionShape) -> Failed | None:
        folder = self._outputs.name if self._outputs is not None else None
        request = wire.Open(model=self.model, shape=shape, outputs_folder=folder)
        self._tell(wire.Opening(opened=0, of=shape.replicas))
        started_s = time.monotonic()
        opened = child.ask(request, self._patience_s(shape), tell=self._tell)
        self.opening_s += time.monotonic() - started_s
        self._tell(wire.Opening(opened=shape.replicas, of=shape.replicas))
        if not isinstance(opened, wire.Opened):
            return wire.as_failure(opened)
        if opened.nodes:
            self._nodes[shape.provider] = opened.nodes
        return None

    def _patience_s(self, shape: SessionShape) -> float:
        """Return how long its sessions may take to stand, or to warm up to a batch size."""
        if shape.form != "as_given" or shape.on_gpu:  # compiled, or optimized for the device
            return LOAD_TIMEOUT_S
        again_s = AGAIN_TIMEOUT_S + AGAIN_TIMES * self._inspected_s * shape.replicas
        return min(LOAD_TIMEOUT_S, again_s)

    def _start(self, shape: SessionShape, cpus: frozenset[int] | None = None) -> Child:
        """Start a process that can open sessions of this shape."""
        confined = {} if cpus is None else {CPUS: format_cpus(cpus)}
        environment = environment_of(self._is_torch, shape) | self._places() | confined
        self._started.append(Child(environment, self._pipes))
        return self._started[-1]

    def _places(self) -> dict[str, str]:
        """Have children see the GPUs that may be used; share what they compile, and leave none."""
        gpus = ",".join(map(str, self.allowed.gpus))
        visible = {"CUDA_VISIBLE_DEVICES": gpus} if gpus else {}
        if not self._is_torch:
            return visible
        if self._products is None:
            self._products = scratch(ignore_cleanup_errors=True)
        return visible | compiled_in(Path(self._products.name))

    def _profiler_for(self, shape: SessionShape) -> "_Profiler":
        """Return the profiling child, or a new one where it is bound to shapes of another kind."""
        binding = binding_of(self._is_torch, shape)
        if self._profiler is not None and self._profiler.binding != binding:
            self._close_profiler()
        if self._profiler is None:
            self._profiler = _Profiler(self._start(shape), None, binding)
        return self._profiler

    def _keep_profiled(self) -> None:
        """Make the sessions that were profiled last ready for measurements."""
        if self._profiler is None:
            return
        child, shape, _ = self._profiler
        if shape is None or _Seat(shape) in self._children:
            self._close_profiler()
            return
        self._make_room(shape)
        self._children[_Seat(shape)], self._profiler = child, None

    def _close_profiler(self) -> None:
        if self._profiler is not None:
            self._profiler.child.close()
            self._profiler = None

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
        replicas = shape.replicas + sum(seat.shape.replicas for seat in self._children)
        return replicas * self._footprint_bytes <= self._memory_bytes
