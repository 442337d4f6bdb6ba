"""What an agent moves on, whoever answers for it: paper, a recording, or this machine."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Flags, Samples
from autotune.spec import ServingConfig, Slo


class Reading(NamedTuple):
    """What one measurement said."""

    latency_s: float | None
    """At the SLO's percentile; infinite: too many requests were lost; None: it failed."""
    failure: str = ""
    """Why it failed."""


class Ground(NamedTuple):
    """A lattice of configurations, its loads, and who measures."""

    name: str
    configs: Sequence[ServingConfig]
    coordinates: Samples
    """Shape (points, axes): a step of 1 is a doubling, or a switch thrown."""
    axes: tuple[str, ...]
    """Their names."""
    slo: Slo
    loads_rps: tuple[float, ...]
    """Ascending."""
    sustainable_rps: float | None
    """The highest load that meets the SLO; None: not known."""
    measure: Callable[[np.random.Generator, int, int], Reading]
    """A source of chance, which load, which point -> what a measurement says."""
    measured: Flags | None = None
    """Shape (loads, points): what can be answered for; None: everything."""
    close: Callable[[], None] = lambda: None
    """Ends what measures."""
