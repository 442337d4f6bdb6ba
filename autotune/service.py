"""How long executions take, as a search believed in the end: enough to simulate what is served."""

from typing import Annotated

import msgspec

from autotune.spec import Count, Positive, Record, ServingConfig

NotNegative = Annotated[float, msgspec.Meta(ge=0)]
SomeSeconds = Annotated[list[Positive], msgspec.Meta(min_length=2)]
"""Of batches of 1, 2, 4, 8 ... requests."""
Ratios = Annotated[list[Positive], msgspec.Meta(min_length=1)]
"""Of executions to their median, ascending: quantiles, evenly spaced."""


REST_DRAWS = 64
"""Of what an execution costs after a rest."""


class ConfigTimes(Record, frozen=True):
    """One configuration, corrected by all that was measured; see `predict.queue_simulation`."""

    config: ServingConfig
    batch_s: SomeSeconds
    """Of a batch beside no busy replica."""
    crowding: Annotated[list[Positive], msgspec.Meta(min_length=1)]
    """Slow-down with 1, 2, 3 ... replicas busy, as many as there are."""
    calm_busy: Annotated[int, msgspec.Meta(ge=0)]
    """Busy replicas up to which every spinning thread has a core."""
    rests: Annotated[int, msgspec.Meta(ge=0)]
    """Which of `ServiceModel.rests_s` holds."""
    open_s: NotNegative | None
    """To open its sessions, the typical time: what it costs to wake them; None: not seen."""


class AloneTimes(Record, frozen=True):
    """One replica alone, of sleeping threads: what it is worth to have so many cores."""

    threads: Count
    batch_s: SomeSeconds


class ServiceModel(Record, frozen=True):
    """All that the queue simulation needs to know of the policy's configurations."""

    configs: Annotated[list[ConfigTimes], msgspec.Meta(min_length=1)]
    """Those of the policy, the recommended one and the runtime's default."""
    alone: list[AloneTimes]
    """Ascending by threads; empty where a GPU executes."""
    jitter: Ratios
    """Where every thread has a core."""
    crowded_jitter: Ratios
    """Beside more busy replicas than `calm_busy`."""
    rests_s: list[list[list[NotNegative]]]
    """What executions cost after a rest, see `predict.rest`: kinds of sessions, begun alone or
    beside others, draws."""
    engine_batch_s: NotNegative
    """That the engine adds to a batch, times busy replicas."""
    engine_request_s: NotNegative
    """Likewise, to each request of a batch."""
    default_threads: Count
    """Intra-op threads that the runtime chooses by default."""


class Power(Record, frozen=True):
    """What the machine draws, measured or by a model."""

    is_model: bool
    """Whether nothing of it was measured."""
    source: str
    """Where the numbers come from, in words."""
    idle_watts: NotNegative
    """While nothing is served."""
    busy_core_watts: NotNegative
    """That a core adds while it works."""

    def joules_per_request(
        self, rps: float, cpu_s_per_request: float, measured: float | None
    ) -> float:
        """Return the energy of a request, its share of the idle power included.

        By the model it is idle_watts / rps + cpu_s_per_request x busy_core_watts.

        Args:
            rps: requests/s among which the idle power is shared.
            cpu_s_per_request: that were measured.
            measured: joules per request that were read; None: they could not be.
        """
        if measured is not None and not self.is_model:
            return measured
        return self.idle_watts / rps + cpu_s_per_request * self.busy_core_watts

    def describe(self) -> str:
        """The power in words: `1.5 W idle, 2.8 W a busy core (a model: ...)`."""
        source = f"a model: {self.source}" if self.is_model else self.source
        return f"{self.idle_watts:.3g} W idle, {self.busy_core_watts:.3g} W a busy core ({source})"


class TradeOff(Record, frozen=True):
    """A configuration at a load that no other beats in latency, energy and cores all at once."""

    load_rps: Positive
    config: ServingConfig
    latency_ms: Positive
    """At the SLO's percentile, measured."""
    joules_per_request: Positive
    """Idle power included; measured or by a model, as `Power` says."""
    core_s_per_request: Positive
    """Cores that its threads may use at once over requests/s: what it costs, in core-seconds."""
    meets_slo: bool
