"""What planning found, as it is written: `autotune plan -o plan.json`."""

from typing import Literal

from autotune.spec import Record, ServingConfig, Slo

Kind = Literal[
    "peak", "static", "reactive_hpa", "reactive_ray", "predictive", "spill_over", "oracle"
]
"""A way to decide how many machines there are; see `autotune.planning.scaling`.

peak          a fixed fleet for the busiest step
static        the cheapest fixed fleet that meets the SLO over the whole trace
reactive_hpa  a target of utilisation, as Kubernetes' Horizontal Pod Autoscaler keeps it
reactive_ray  a target of requests in flight, as Ray Serve keeps it
predictive    a forecast ahead of the time that a machine takes to start
spill_over    the same, and what the machines cannot take goes to a function platform
oracle        knows what will come, needs no time to start: a bound, nothing to deploy
"""
Answer = Literal["met", "not_met"]


class TraceSeen(Record, frozen=True):
    """The trace, as it was aggregated."""

    source: str
    requests: int
    seconds: float
    began: str | None
    """ISO 8601, UTC; None: the trace has no dates."""
    mean_rps: float
    peak_rps: float
    """Of the busiest step."""
    step_s: float
    """Between decisions."""
    bin_s: float
    dispersion: float
    """Variance of the requests within a bin over what it would be by chance (Poisson: 1)."""
    phase_rps: tuple[float, float]
    """Of the fitted two-phase Markov-modulated Poisson process; alike: a Poisson process."""
    phase_s: tuple[float, float]
    """Mean seconds of its phases."""
    notes: list[str]


class ServesUpTo(Record, frozen=True):
    """What one machine of a type runs up to a rate."""

    rate_rps: float
    config: ServingConfig
    latency_ms: float
    """At the SLO's percentile, at this rate."""


class TypePlanned(Record, frozen=True):
    """A machine type that takes part."""

    name: str
    file: str
    price_per_hour: float
    start_s: float
    capacity_rps: float
    """Highest rate at which one machine meets the SLO in this traffic; 0: none."""
    cost_per_million: float | None
    """Requests, at capacity; None where there is none."""
    nearest_ms: float
    """Latency at the SLO's percentile when nearly idle: what the SLO would have to allow."""
    correction: float
    """Measured latency over simulated: by this the simulation was scaled."""
    serves: list[ServesUpTo]
    notes: list[str]


class FunctionPlanned(Record, frozen=True):
    """The cheapest way to serve on a function platform; see `autotune.planning.functions`."""

    name: str
    memory_mib: int
    max_batch_size: int
    batch_timeout_ms: float
    cost_per_million: float
    mean_batch_size: float
    execution_ms: float
    """Of the mean batch."""
    percentile: float
    """Above the SLO's, so that there is room for cold starts; at this one are:"""
    analytic_ms: float
    """By the analytic model; likewise, by simulation:"""
    simulated_ms: float
    cold_start_s: float


class Moment(Record, frozen=True):
    """One point of a series over time."""

    at_s: float
    load_rps: float
    capacity_rps: float
    machines: list[int]
    """Of each type, in the order of `Plan.types`, ready to serve."""
    within: float
    """Share of the requests answered within the SLO."""
    spilled: float
    """Share that went to the function platform."""


class PolicyPlanned(Record, frozen=True):
    """One way to scale, played through on the trace."""

    kind: Kind
    settings: dict[str, float]
    """Its own numbers, such as the target of utilisation; units stand in the names."""
    cost: float
    """Over the whole trace."""
    cost_per_million: float
    to_peak: float | None
    """Cost over that of the fleet for the peak; None: no machine keeps the SLO. Likewise, over the
    oracle's:"""
    to_oracle: float | None
    attainment: float
    """Share of all requests answered within the SLO."""
    meets_slo: bool
    p50_ms: float | None
    """None: more than half was never answered; likewise:"""
    p95_ms: float | None
    p99_ms: float | None
    objective_ms: float | None
    """At the SLO's percentile."""
    lost_share: float
    """Rejected, for a machine's queue was full."""
    spilled_share: float
    cold_share: float
    """Of all requests, those that met a cold start."""
    machine_hours: list[float]
    """Billed, of each type."""
    most_machines: list[int]
    least_machines: list[int]
    cpu_s_per_request: float
    starts: int
    """Of machines."""
    series: list[Moment]


class ForecastError(Record, frozen=True):
    """How far off the forecast was, one lead ahead."""

    model: str
    lead_s: float
    error: float
    """Sum of absolute errors over the sum of loads (WAPE); likewise, of the last value as it is:"""
    naive_error: float
    bias: float
    """Mean error over mean load; above zero: too much was forecast."""
    under_share: float
    """Share of steps in which too little was."""


class AggregationError(Record, frozen=True):
    """The reckoning with rates against a simulation request by request, on parts of the trace."""

    requests: int
    attainment: float
    """By rates; likewise, request by request:"""
    exact_attainment: float
    p99_ms: float
    exact_p99_ms: float


class Plan(Record, frozen=True):
    """All of it."""

    format: Literal["autotune-plan"]
    schema_version: Literal[1]
    answer: Answer
    summary: str
    """What to run and what it costs, in a sentence or two."""
    chosen: Kind | None
    """The cheapest that meets the SLO and can be deployed; None: none does."""
    nearest: str | None
    """Where none does: which comes nearest, and what would have to change."""
    slo: Slo
    model: str
    currency: str
    prices_as_of: str | None
    prices_source: str | None
    trace: TraceSeen
    types: list[TypePlanned]
    function: FunctionPlanned | None
    """None: the price list has none that meets the SLO."""
    policies: list[PolicyPlanned]
    """In the order of `Kind`; those that take part."""
    forecast: ForecastError | None
    """None: the trace is too short to forecast from."""
    aggregation: AggregationError | None
    """None: no stretch of the trace that was kept met a machine."""
    notes: list[str]
    autotune: str
    """Version that made it."""

    def policy(self, kind: Kind) -> PolicyPlanned | None:
        """Return how a way to scale did; None: it took no part."""
        return next((one for one in self.policies if one.kind == kind), None)
