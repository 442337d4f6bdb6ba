"""What is asked: configurations, objectives and loads, as frozen records."""

from typing import Annotated, Literal

import msgspec

from autotune.units import format_shape

ExecutionMode = Literal["sequential", "parallel"]
Objective = Literal["latency", "capacity", "cpu", "cores"]
"""What a search is for; see `autotune.stages.goal`."""

MOST = 1024
"""Replicas, threads or requests in a batch: more is a slip of the pen."""
LONGEST_MS = 3_600_000.0
"""An hour: autotune is for online serving."""

Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
Threads = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
PositiveMs = Annotated[float, msgspec.Meta(gt=0)]
PositiveRps = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record that reads and writes itself as JSON and refuses unknown fields."""


class SessionShape(Record, frozen=True):
    """The part of a configuration that needs new sessions, so a fresh process, when it changes."""

    replicas: int
    intra_op_threads: int
    inter_op_threads: int
    execution_mode: ExecutionMode
    spinning: bool

    @property
    def threads_per_replica(self) -> int:
        """Threads that one running batch may occupy (the runtime's own choice counts as one)."""
        return self.threads(1)

    def threads(self, default_threads: int) -> int:
        """Return the same where the runtime's own choice of intra-op threads is known."""
        inter = self.inter_op_threads if self.execution_mode == "parallel" else 1
        return (self.intra_op_threads or default_threads) * max(1, inter)


class ServingConfig(Record, frozen=True):
    """One point of the space: everything a server must be told.

    The field defaults are ONNX Runtime's defaults: one session that chooses its own thread
    count, with spinning, and no batching.
    """

    replicas: Count = 1
    """Loaded copies of the model that execute batches."""
    intra_op_threads: Threads = 0
    """Threads within one operator; 0 leaves the choice to the runtime."""
    inter_op_threads: Threads = 1
    """Threads across operators; only used in parallel execution mode."""
    execution_mode: ExecutionMode = "sequential"
    spinning: bool = True
    """Whether idle pool threads burn cycles waiting for work."""
    max_batch_size: Count = 1
    """Most requests executed together."""
    batch_timeout_ms: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_MS)] = 0.0
    """Longest that the first request of a batch waits for company."""

    @property
    def session_shape(self) -> SessionShape:
        """The sessions that this configuration needs."""
        return SessionShape(
            replicas=self.replicas,
            intra_op_threads=self.intra_op_threads,
            inter_op_threads=self.inter_op_threads,
            execution_mode=self.execution_mode,
            spinning=self.spinning,
        )

    def describe(self) -> str:
        """The configuration in words, shortest form: what differs from plain is named."""
        if self == RUNTIME_DEFAULT:
            return "runtime default"
        threads = self.intra_op_threads
        parts = [f"{self.replicas} x {threads} thread{'s' if threads != 1 else ''}"]
        if self.execution_mode == "parallel":
            parts.append(f"parallel({self.inter_op_threads})")
        if self.threads_exist:
            parts.append("spin" if self.spinning else "no spin")
        if self.max_batch_size > 1:
            parts.append(f"batch {self.max_batch_size}")
            parts.append(f"wait {self.batch_timeout_ms:g} ms")
        return ", ".join(parts)

    @property
    def threads_exist(self) -> bool:
        """Whether there is any pool thread that could spin."""
        return self.intra_op_threads != 1 or self.execution_mode == "parallel"

    @property
    def complexity(self) -> tuple[int, ...]:
        """How much there is to explain and to run: of equals, the smaller is preferred."""
        return (
            int(self != RUNTIME_DEFAULT),
            int(self.execution_mode == "parallel"),
            int(self.max_batch_size > 1),
            self.replicas * max(1, self.intra_op_threads),
            self.replicas,
            int(self.spinning),
            self.max_batch_size,
            round(1000 * self.batch_timeout_ms),
        )


RUNTIME_DEFAULT = ServingConfig()
"""What a user gets who sets nothing: the baseline that every answer is held against."""


class Slo(Record, frozen=True):
    """`percentile` % of all offered requests must be answered within `latency_ms`."""

    latency_ms: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_MS)]
    percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] = 99.0

    @property
    def quantile(self) -> float:
        """The percentile as a share in (0, 1)."""
        return round(self.percentile / 100, 12)  # 99.9 / 100 is a bit above 0.999

    def __str__(self) -> str:
        """`p99 <= 50 ms`."""
        return f"p{self.percentile:g} <= {self.latency_ms:g} ms"


class RequestKind(Record, frozen=True):
    """One kind of request, and how much of the traffic is of it."""

    weight: float
    """Share of all requests, in (0, 1]."""
    shapes: dict[str, list[int]] = {}
    """As `ModelSpec.shapes`."""
    input_file: str | None = None
    """As `ModelSpec.input_file`."""
    origin: str | None = None
    """Where the kind was read, to be named in a complaint; None: `--shape` or `--input`."""
    label: str | None = None
    """What to call it; None: its file or its shapes."""

    def describe(self) -> str:
        """The kind in words: `80 % images 1x3x320x320`."""
        what = (
            self.label
            or self.input_file
            or " ".join(f"{name} {format_shape(shape)}" for name, shape in self.shapes.items())
        )
        return f"{100 * self.weight:.3g} % {what}"


class ModelSpec(Record, frozen=True):
    """Which model, and what a request to it looks like."""

    path: str
    shapes: dict[str, list[int]] = {}
    """Input name -> shape of one request, where the model leaves a dimension open."""
    input_file: str | None = None
    """An .npz file with one request's arrays by input name."""
    requests: list[RequestKind] = []
    """Kinds of requests whose weights sum to 1; empty: the one that the two fields above give."""
    requests_file: str | None = None
    """Where these were read; None: nowhere."""
    seed: int = 0
    """Seed of the generated sample inputs."""

    @property
    def kinds(self) -> list[RequestKind]:
        """The kinds of requests, at least one."""
        return self.requests or [
            RequestKind(weight=1.0, shapes=self.shapes, input_file=self.input_file)
        ]


class TrialSpec(Record, frozen=True):
    """One measurement: one configuration under one drawn schedule."""

    config: ServingConfig
    arrivals_s: list[float]
    """Scheduled arrivals in seconds from the start of the run, ascending."""
    grace_s: float
    """How long after the last arrival the run may go on; what is unserved then is lost."""
    order_seed: list[int] = []
    """Seed of which request is of which kind, where the model is fed a mix of them."""
