"""What came back from a measurement: raw samples kept, summaries derived elsewhere."""

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from autotune.spec import Record

Samples = npt.NDArray[np.float64]

FailureKind = Literal[
    "crash", "timeout", "out_of_memory", "load_error", "run_error", "wrong_output"
]


class Failed(Record, frozen=True, tag="failed"):
    """A configuration that could not be measured: something learnt, not the end of the search."""

    kind: FailureKind
    detail: str


class Measured(Record, frozen=True, tag="measured", eq=False):
    """One open-loop run. All arrays run over the served requests, in order of arrival.

    Times are seconds since the start of the run. Latency is `finished - scheduled`, so that a
    request that could not be issued on time is not forgiven its wait (coordinated omission).
    """

    scheduled_s: Samples
    claimed_s: Samples
    """When a free replica first knew of the request."""
    started_s: Samples
    """When its batch began to execute."""
    finished_s: Samples
    batch_size: Samples
    lost: int
    """Scheduled requests that were never served because the run was given up."""
    diverged: bool
    """The queue grew without end: the offered load is above what this configuration sustains."""
    duration_s: float
    cpu_s: float
    """CPU seconds of the whole serving process during the run, spinning included."""
    peak_memory_bytes: int

    @property
    def latency_s(self) -> Samples:
        """Seconds from the scheduled arrival to the answer, per served request."""
        return self.finished_s - self.scheduled_s

    @property
    def served(self) -> int:
        """Requests in the log."""
        return len(self.scheduled_s)

    def counted(self, lead_in_s: float) -> "Measured":
        """The same run without the requests scheduled before `lead_in_s`.

        CPU time is cut in proportion to the requests that remain.
        """
        keep = self.scheduled_s >= lead_in_s
        return msgspec.structs.replace(
            self,
            scheduled_s=self.scheduled_s[keep],
            claimed_s=self.claimed_s[keep],
            started_s=self.started_s[keep],
            finished_s=self.finished_s[keep],
            batch_size=self.batch_size[keep],
            cpu_s=self.cpu_s * float(np.mean(keep)) if len(keep) else self.cpu_s,
        )


TrialOutcome = Measured | Failed


class ServiceTimes(Record, frozen=True, tag="service_times", eq=False):
    """A closed-loop sample: how long one execution takes with `busy` replicas running together."""

    seconds: Samples
    """Service time of each execution, pooled over the busy replicas."""
    cpu_s: float
    """CPU seconds of the whole serving process per execution."""


class InputInfo(Record, frozen=True):
    """One input or output as the model declares it."""

    name: str
    dtype: str
    shape: list[int | str]
    """A number where fixed; a name, or `?`, where left open."""


class ModelInfo(Record, frozen=True, tag="model_info"):
    """What the child process found out about a model by loading and running it."""

    inputs: list[InputInfo]
    outputs: list[InputInfo]
    sample_shapes: dict[str, list[int]]
    """The shape of each input in one request."""
    sample_source: str
    """Where the sample inputs come from, in words."""
    batchable: bool
    batch_reason: str
    """Why requests can, or cannot, be executed together."""
    outputs_checked: bool
    """Whether each configuration's outputs can be held against those of the default session."""
    outputs_reason: str
    """Why they can or cannot, or which outputs are left out."""
    footprint_bytes: int
    """Resident memory that loading one replica and running it added."""
    default_threads: int
    """Intra-op threads that the runtime chooses here when nobody tells it."""
    runtime: str
    """Runtime and version, such as `onnxruntime 1.32.0`."""
    load_s: float
    """Seconds to create the session."""
    run_s: float
    """Seconds of one warm run with the runtime's defaults."""
    engine_batch_s: float
    """Seconds that the engine itself adds to each batch."""
    engine_request_s: float
    """Seconds that the engine itself adds to each request of a batch."""
