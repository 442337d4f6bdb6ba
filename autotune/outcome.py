"""What came back from a measurement: raw samples kept, summaries derived elsewhere."""

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from autotune.records import Failed, InputInfo, Transfer
from autotune.spec import Form, Provider, Record, ReplicasAs
from autotune.traits import ModelTraits

Samples = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

Stopped = Literal["ended", "passed", "failed", "diverged"]
"""Why a run ended: by its schedule, because its SLO was proven met or missed, or because the queue
grew without end: the offered load is above what the configuration sustains."""


class Measured(Record, frozen=True, tag="measured", eq=False):
    """One open-loop run. All arrays run over the served requests, in order of arrival.

    Times are seconds since the start of the run. Latency is `finished - scheduled`, so that a
    request that could not be issued on time is not forgiven its wait (coordinated omission).
    """

    scheduled_s: Samples
    ready_s: Samples
    """When the replica that took the request had become free to take one."""
    claimed_s: Samples
    """When that replica first knew of the first request of its batch."""
    started_s: Samples
    """When its batch began to execute."""
    finished_s: Samples
    batch_size: Samples
    lost: int
    """Scheduled requests that were never served because the run was given up."""
    stopped: Stopped
    duration_s: float
    cpu_s: float
    """CPU seconds of the whole serving process during the run, spinning included."""
    joules: float | None
    """Energy of processor packages and, on one, of GPUs, whoever used it; None: not readable."""
    peak_memory_bytes: int
    disturbance: "Disturbance"
    disturbed: list[str]
    """What of it spoils the numbers, a clause each; empty: nothing does."""
    transfer: Transfer | None = None
    """Copies to and from a GPU; None: there were none."""

    @property
    def latency_s(self) -> Samples:
        """Seconds from the scheduled arrival to the answer, per served request."""
        return self.finished_s - self.scheduled_s

    @property
    def diverged(self) -> bool:
        """Whether the queue grew without end."""
        return self.stopped == "diverged"

    @property
    def queueing_s(self) -> Samples:
        """Seconds until a replica became free for the request."""
        return np.maximum(0.0, self.ready_s - self.scheduled_s)

    @property
    def issue_lateness_s(self) -> Samples:
        """Seconds that the free replica then took to notice it: what the harness adds."""
        return np.maximum(self.claimed_s, self.scheduled_s) - self._free_s

    @property
    def batch_wait_s(self) -> Samples:
        """Seconds of waiting for company, and of putting the batch together."""
        return self.started_s - np.maximum(self.claimed_s, self.scheduled_s)

    @property
    def service_s(self) -> Samples:
        """Seconds of execution."""
        return self.finished_s - self.started_s

    @property
    def unqueued(self) -> Flags:
        """Which requests found a replica free: there the queue begins anew."""
        first_of_batch = np.diff(self.started_s, prepend=-1.0) != 0
        return np.asarray(first_of_batch & (self.ready_s <= self.scheduled_s))

    @property
    def _free_s(self) -> Samples:
        """When there were both the request and a replica for it."""
        return np.maximum(self.scheduled_s, self.ready_s)

    @property
    def served(self) -> int:
        """Requests in the log."""
        return len(self.scheduled_s)

    def counted(self, lead_in_s: float) -> "Measured":
        """The same run without the requests scheduled before `lead_in_s`.

        CPU time and energy are cut in proportion to the requests that remain.
        """
        keep = self.scheduled_s >= lead_in_s
        share = float(np.mean(keep)) if len(keep) else 1.0
        return msgspec.structs.replace(
            self,
            scheduled_s=self.scheduled_s[keep],
            ready_s=self.ready_s[keep],
            claimed_s=self.claimed_s[keep],
            started_s=self.started_s[keep],
            finished_s=self.finished_s[keep],
            batch_size=self.batch_size[keep],
            cpu_s=self.cpu_s * share,
            joules=None if self.joules is None else self.joules * share,
        )


TrialOutcome = Measured | Failed


class ServiceTimes(Record, frozen=True, tag="service_times", eq=False):
    """A closed-loop sample: how long one execution takes with `busy` replicas running together."""

    seconds: Samples
    """Service time of each execution, pooled over the busy replicas."""
    rest_s: Samples
    """For how long the replica had nothing to do before each."""
    others: Samples
    """Replicas that were executing when each began."""
    cpu_s: float
    """CPU seconds of the whole serving process per execution."""


class Disturbance(Record, frozen=True):
    """What the machine did to a run beside serving it; None where the platform does not tell."""

    seconds: float
    cpus: int
    """CPUs of the affinity mask: those whose time is counted here."""
    steal_share: float | None
    """Share of the CPUs' time that the hypervisor gave to somebody else."""
    other_cpu_share: float | None
    """CPU seconds per second that other processes used on these CPUs, in cores."""
    throttled_periods: int | None
    """Quota periods in which the cgroup held its threads back."""
    throttled_s: float | None
    """Seconds held back, summed over CPUs."""
    involuntary_switches_per_s: float
    """Times per second that a thread of the process had to leave its CPU."""
    major_faults: int
    """Pages that the process had to wait for from storage."""
    swapped_pages: int | None
    """Pages moved to or from swap, by any process."""
    memory_pressure_share: float | None
    """Share of the time in which some process of the machine waited for memory."""
    frequency_change: float | None
    """Mean core frequency after over before, less one: -0.2 is a fifth slower."""


class Abilities(Record, frozen=True):
    """Which knobs mean something for a model in its runtime, and which values may be tried."""

    inter_op: bool = True
    """Whether operators can run side by side."""
    spinning: bool = True
    replicas_as: tuple[ReplicasAs, ...] = ("threads",)
    forms: tuple[Form, ...] = ("as_given",)
    providers: tuple[Provider, ...] = ("cpu",)
    """The first is that of the default."""
    devices: int = 0
    """GPUs that may be used."""
    overlap: bool = False
    cuda_graphs: bool = False


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
    abilities: Abilities = Abilities()
    process_bytes: int = 0
    """Resident memory of a process that has imported the runtime and loaded nothing."""
    start_s: float = 0.0
    """Seconds until a new process had the runtime imported."""
    lock_share: float | None = None
    """Share of a run in which it holds the interpreter lock; None: not measured."""
    files: tuple[str, ...] = ()
    """Files that belong to the model beside the one named."""
    traits: ModelTraits = ModelTraits()
    """What it is like, as far as that was found out."""
    sample_kinds: tuple[int, ...] = ()
    """Of each sample input the kind of request that it is, by its number."""
