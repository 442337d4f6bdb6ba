"""What is asked: configurations, objectives and loads, as frozen records."""

from typing import Annotated, Literal

import msgspec

from autotune.units import format_shape

ExecutionMode = Literal["sequential", "parallel"]
Objective = Literal["latency", "capacity", "cpu", "cores", "energy"]
"""What a search is for; see `autotune.stages.goal`."""
ReplicasAs = Literal["threads", "processes"]
"""Replicas share a process, or have one each, which pays for what holds the interpreter lock."""
Form = Literal["as_given", "compiled", "exported"]
"""How a torch model is executed: as its file or function gives it, by `torch.compile`, or exported
and compiled ahead of time (AOTInductor)."""
Provider = Literal["cpu", "openvino", "xnnpack", "dnnl", "cuda", "tensorrt"]
"""What executes the model: ONNX Runtime's execution providers; of torch, `cpu` and `cuda`."""
DEVICES: tuple[Provider, ...] = ("cpu", "cuda")
"""Providers that are what a runtime uses there if nobody says otherwise."""
ON_GPU: tuple[Provider, ...] = ("cuda", "tensorrt")
"""Providers whose memory is not the host's."""

ONNX_SUFFIXES = (".onnx", ".ort")
MOST = 1024
"""Replicas, threads or requests in a batch: more is a slip of the pen."""
LONGEST_MS = 3_600_000.0
"""An hour: autotune is for online serving."""

Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
Threads = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
PositiveMs = Positive
PositiveRps = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record that reads and writes itself as JSON and refuses unknown fields."""


class Family(Record, frozen=True):
    """What executes sessions, and how: each has a service law of its own."""

    provider: Provider = "cpu"
    form: Form = "as_given"
    replicas_as: ReplicasAs = "threads"
    overlap: bool = False
    cuda_graphs: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether it computes in memory that is not the host's."""
        return self.provider in ON_GPU

    def describe(self) -> str:
        """The family in words: `openvino`, `compiled, in processes`."""
        named = {
            self.provider: self.provider != "cpu",
            self.form: self.form != "as_given",
            f"in {self.replicas_as}": self.replicas_as != "threads",
            "overlap": self.overlap,
            "CUDA graphs": self.cuda_graphs,
        }
        return ", ".join(name for name, holds in named.items() if holds) or "as given"


class SessionShape(Record, frozen=True):
    """The part of a configuration that needs new sessions, so a fresh process, when it changes."""

    replicas: int
    intra_op_threads: int
    inter_op_threads: int
    execution_mode: ExecutionMode
    spinning: bool
    replicas_as: ReplicasAs = "threads"
    form: Form = "as_given"
    provider: Provider = "cpu"
    devices: int = 1
    overlap: bool = False
    cuda_graphs: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether it computes in memory that is not the host's."""
        return self.provider in ON_GPU

    @property
    def family(self) -> Family:
        """What executes these sessions, and how."""
        return Family(**{field: getattr(self, field) for field in Family.__struct_fields__})

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
    replicas_as: ReplicasAs = "threads"
    form: Form = "as_given"
    provider: Provider = "cpu"
    devices: Count = 1
    """GPUs that the replicas are spread over, in turn."""
    overlap: bool = False
    """Whether a batch is copied to the GPU while the one before it is computed."""
    cuda_graphs: bool = False
    """Whether batches are replayed as CUDA graphs, one for each batch size."""

    @property
    def session_shape(self) -> SessionShape:
        """The sessions that this configuration needs."""
        return SessionShape(
            **{field: getattr(self, field) for field in SessionShape.__struct_fields__}
        )

    @property
    def is_default(self) -> bool:
        """Whether it is what a user of its device gets who sets nothing."""
        return self == self.default

    @property
    def default(self) -> "ServingConfig":
        """What a user of its device gets who sets nothing."""
        return runtime_default("cuda" if self.on_gpu else "cpu")

    def describe(self) -> str:
        """The configuration in words, shortest form: what differs from plain is named."""
        if self.is_default:
            return "runtime default" if self.provider == "cpu" else f"default on {self.provider}"
        parts = [self._sessions()]
        if self.execution_mode == "parallel":
            parts.append(f"parallel({self.inter_op_threads})")
        if self.threads_exist:
            parts.append("spin" if self.spinning else "no spin")
        parts += [self.form] if self.form != "as_given" else []
        parts += [self.provider] if self.provider != "cpu" and not self.on_gpu else []
        parts += ["overlap"] if self.overlap else []
        parts += ["CUDA graphs"] if self.cuda_graphs else []
        if self.max_batch_size > 1:
            parts.append(f"batch {self.max_batch_size}")
            parts.append(f"wait {self.batch_timeout_ms:g} ms")
        return ", ".join(parts)

    def _sessions(self) -> str:
        kind = " process" if self.replicas_as == "processes" else ""
        kind += ("es" if self.replicas != 1 else "") if kind else ""
        if self.on_gpu:
            spread = f" on {self.devices} GPUs" if self.devices > 1 else ""
            return f"{self.replicas}{kind} x {self.provider}{spread}"
        threads = self.intra_op_threads or "default"
        return f"{self.replicas}{kind} x {threads} thread{'s' if threads != 1 else ''}"

    @property
    def on_gpu(self) -> bool:
        """Whether it computes in memory that is not the host's."""
        return self.provider in ON_GPU

    @property
    def family(self) -> Family:
        """What executes its sessions, and how."""
        return self.session_shape.family

    @property
    def threads_exist(self) -> bool:
        """Whether there is any pool thread that could spin."""
        if self.provider != "cpu":
            return False
        return self.intra_op_threads != 1 or self.execution_mode == "parallel"

    @property
    def complexity(self) -> tuple[int, ...]:
        """How much there is to explain and to run: of equals, the smaller is preferred."""
        return (
            int(not self.is_default),
            int(self.form != "as_given") + int(self.provider not in DEVICES),
            int(self.execution_mode == "parallel") + int(self.cuda_graphs) + int(self.overlap),
            int(self.replicas_as == "processes") + self.devices,
            int(self.max_batch_size > 1),
            self.replicas * max(1, self.intra_op_threads),
            self.replicas,
            int(self.spinning),
            self.max_batch_size,
            round(1000 * self.batch_timeout_ms),
        )


RUNTIME_DEFAULT = ServingConfig()
"""What a user gets who sets nothing: the baseline that every answer is held against."""


def runtime_default(device: Provider) -> ServingConfig:
    """Return the same on a device."""
    return RUNTIME_DEFAULT if device == "cpu" else ServingConfig(provider=device)


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
    """The file; of a function that builds a module, the source that defines it."""
    shapes: dict[str, list[int]] = {}
    """Input name -> shape of one request, where the model leaves a dimension open."""
    dtypes: dict[str, str] = {}
    """Input name -> numpy's name of its type, where the model does not say it (`float32` else)."""
    input_file: str | None = None
    """An .npz file with one request's arrays by input name."""
    requests: list[RequestKind] = []
    """Kinds of requests whose weights sum to 1; empty: the one that the two fields above give."""
    requests_file: str | None = None
    """Where these were read; None: nowhere."""
    seed: int = 0
    """Seed of the generated sample inputs."""
    function: str | None = None
    """`package.module:function` that builds a torch module; None: the model is a file."""
    trust_pickle: bool = False
    """Whether a pickled module may be loaded, which runs code that the file names."""
    channels_last: bool = True
    """Whether torch keeps images with their channels last, as its CPU and GPU kernels like them."""

    @property
    def is_named_onnx(self) -> bool:
        """Whether its name says that it is ONNX Runtime's; files of any other may be torch's."""
        return self.function is None and self.path.endswith(ONNX_SUFFIXES)

    @property
    def kinds(self) -> list[RequestKind]:
        """The kinds of requests, at least one."""
        return self.requests or [
            RequestKind(weight=1.0, shapes=self.shapes, input_file=self.input_file)
        ]


class Allowed(Record, frozen=True):
    """What a person allows to be tried of what the runtime has to offer."""

    device: Provider = "cpu"
    gpus: list[int] = []
    """Numbers of the GPUs that may be used; empty: the first."""
    forms: list[Form] = []
    """Beside `as_given`."""
    providers: list[Provider] | None = None
    """Beside that of the device; None: all that are installed."""


class TrialSpec(Record, frozen=True):
    """One measurement: one configuration under one drawn schedule."""

    config: ServingConfig
    arrivals_s: list[float]
    """Scheduled arrivals in seconds from the start of the run, ascending."""
    grace_s: float
    """How long after the last arrival the run may go on; what is unserved then is lost."""
    order_seed: list[int] = []
    """Seed of which request is of which kind, where the model is fed a mix of them."""
