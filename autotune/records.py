"""What was found, in plain records: they stand in files, and need no library of numbers."""

from typing import Literal

from autotune.spec import ExecutionMode, Form, Provider, Record, ReplicasAs, ServingConfig

FailureKind = Literal[
    "crash", "timeout", "out_of_memory", "load_error", "run_error", "wrong_output"
]
SloVerdict = Literal["met", "missed", "undecided"]


OWN_EXAMPLE = "the model's own example"
"""What a file calls the source of requests that the model brought along."""


class InputInfo(Record, frozen=True):
    """One input or output as the model declares it."""

    name: str
    dtype: str
    shape: list[int | str]
    """A number where fixed; a name, or `?`, where left open."""


class Placement(Record, frozen=True):
    """Who executes the nodes of the model's graph where a provider was asked for."""

    provider: Provider
    nodes: dict[str, int]
    """Nodes of the model by who executes them; what the provider does not take, the CPU does."""

    @property
    def fallback_share(self) -> float:
        """Share of the nodes that fell back to the CPU."""
        return self.nodes.get("cpu", 0) / max(1, sum(self.nodes.values()))


class Failed(Record, frozen=True, tag="failed"):
    """A configuration that could not be measured: something learnt, not the end of the search."""

    kind: FailureKind
    detail: str


class Percentile(Record, frozen=True):
    """A latency percentile with its 95 % interval; None: beyond what the requests can show."""

    value_ms: float | None
    """None where so many requests were lost that the percentile is unbounded."""
    low_ms: float | None
    high_ms: float | None


class Transfer(Record, frozen=True):
    """What moved between host and device, and what that cost; by the device's own clock."""

    batches: int
    in_s: float
    """Seconds of copying inputs to the device."""
    out_s: float
    """Seconds of copying outputs back."""
    compute_s: float
    hidden_share: float
    """Share of the copying that went on while the device computed."""


class Summary(Record, frozen=True):
    """What was measured of one configuration at one load. Shares are of all offered requests."""

    requests: int
    """Requests offered and counted, lost ones included."""
    lost: int
    p50: Percentile
    p95: Percentile
    p99: Percentile
    objective: Percentile
    """The percentile that the SLO names."""
    largest_ms: float
    """Largest latency among the served requests."""
    slo_attainment: float
    """Share of offered requests answered within the SLO."""
    slo_verdict: SloVerdict
    """Whether the SLO is met, proven at 95 % confidence; `undecided` where it is not."""
    cpu_s_per_request: float
    joules_per_request: float | None
    """Energy of processor packages and, on one, of GPUs; None where neither can be read."""
    mean_batch_size: float
    issue_lateness_ms: float | None
    """Mean time that the harness took to notice a request for which a replica was free."""
    queueing_ms: float
    """Mean wait for a free replica (in files of version 1, all waiting)."""
    batch_wait_ms: float | None
    """Mean wait for company."""
    service_ms: float
    """Mean execution time."""
    peak_memory_mib: float
    diverged: bool

    meets_slo: bool
    """Whether the measured attainment reaches the SLO, proven or not."""

    disturbed: list[str]
    """What spoilt some of its windows, each counted; empty: nothing did."""
    transfer: Transfer | None = None
    """Copies to and from a GPU; None: there were none."""


class Finalist(Record, frozen=True):
    """A configuration in the interleaved rounds at one load, and how its latencies spread."""

    load_rps: float
    config: ServingConfig
    measured: Summary
    shares: list[float]
    """Of all offered requests, ascending; ends below 1 where requests were lost."""
    latency_ms: list[float]
    """Within which each share was answered: the latencies' cumulative distribution."""


class Curve(Record, frozen=True):
    """Predicted latency of one configuration, as corrected by all that was measured, over load."""

    config: ServingConfig
    loads_rps: list[float]
    """Ascending."""
    p50_ms: list[float]
    objective_ms: list[float]
    """At the SLO's percentile."""


class LatticeMap(Record, frozen=True):
    """What was believed of every configuration in the end.

    Lists run over points: the first are the knobs of each, as in `ServingConfig`.
    """

    replicas: list[int]
    intra_op_threads: list[int]
    inter_op_threads: list[int]
    execution_mode: list[ExecutionMode]
    spinning: list[bool]
    max_batch_size: list[int]
    batch_timeout_ms: list[float]
    replicas_as: list[ReplicasAs]
    form: list[Form]
    provider: list[Provider]
    devices: list[int]
    overlap: list[bool]
    cuda_graphs: list[bool]
    predicted_ms: list[list[float]]
    """Latency at the SLO's percentile, one list a load of the policy."""
    region_of: list[list[int]]
    """The measured point (a place in these lists) in whose region each lies, one list a load; -1:
    in none, so that nothing but the prediction speaks for it."""
    points_left_out: int
    """Of a large lattice, those that were not measured and are predicted to be slowest."""


class Gain(Record, frozen=True):
    """A configuration against the runtime's default, under the same arrivals."""

    percentile: float
    """The percentile compared: the SLO's, or the highest that a round's requests let us see."""
    latency_ratio: float | None
    """Its latency over the default's, of the typical round; None: either lost too many requests."""
    low: float | None
    high: float | None
    """95 % interval of the ratio."""
    latency_differs: bool
    """Whether the difference in latency is more than noise, at 5 %."""
    cpu_ratio: float
    """Its CPU seconds per request over the default's."""
    proven: bool
    """Better beyond noise: in latency, in meeting the SLO, or as good for less CPU time."""
    reason: str
    """What is better, in words."""
