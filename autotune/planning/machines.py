"""Machine types: what one machine of each answers in time, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.planning.latencies import latencies
from autotune.planning.measured_tails import Corrected, corrected, service_of, slowed
from autotune.planning.prices import MachinePrice, Prices
from autotune.planning.queues import Queues, busiest_rps, queues_of, taken
from autotune.planning.served import Served, capacity_at, latency_grid, share_within, shares_at
from autotune.predict.queue_simulation import Indices, batch_seconds
from autotune.service import ServiceModel
from autotune.spec import ServingConfig, Slo
from autotune.units import format_rps

__all__ = ["MachineType", "make_types", "share_within", "shares_at"]

RATES = np.concatenate([np.geomspace(0.01, 0.5, 9), np.linspace(0.54, 1.06, 14), [1.15, 1.3, 1.5]])
"""Of the type's saturation."""
FAR = 1.1
"""Of a configuration's own saturation."""
NEARLY_POISSON = 1.05
"""Dispersion up to which traffic is taken for a Poisson process."""
MOST_DISPERSION = 200.0
"""That is told apart: clusters of a hundred requests."""
PARTS = (0.0, 1 / 16, 1 / 4, 1.0)
"""Of the dispersion above 1, that is simulated: a machine of a fleet sees a part."""
ODD = 1.5
"""Ratio of measured latency to simulated, from which there is something to say."""
BEYOND = 1.05
"""Capacity over the highest load of the search, likewise."""


class MachineType(NamedTuple):
    """A machine type that a fleet may hold."""

    name: str
    price: MachinePrice
    file: TunedFile
    served: Served
    capacity_rps: float
    """Highest rate at which one machine meets the SLO at the trace's dispersion; 0: none."""
    correction: float
    """Measured latency over simulated, by which the simulated was scaled, of the configuration
    that runs at capacity; see `autotune.planning.measured_tails`."""
    notes: tuple[str, ...] = ()
    """What to know of it, each a sentence."""
    measured: Corrected | None = None
    """How the simulation of each of the file's `service.configs` was put right; None: not."""


def make_types(
    files: Mapping[str, TunedFile], prices: Prices, slo: Slo, dispersion: float
) -> list[MachineType]:
    """Return the machine types, in the order of the files.

    A machine runs the configuration that its file's policy has for the rate, as long as that keeps
    the SLO in this traffic; where it does not, and above the policy's loads, the one of the
    policy's, or the recommended, that answers most within the SLO; where all are overloaded, the
    one that is last to be. What configurations answer is simulated from the file's execution times,
    and scaled to what was measured.

    Args:
        files: tuned files by name of the machine type; their own SLOs do not matter.
        prices: of these types and others.
        slo: to be met.
        dispersion: of the arrivals, see `clustered.draw_clustered`.

    Raises:
        UsageError: there is no file; one holds no execution times; a type has no price; files are
            of different models.
    """
    _demand_usable(files, prices)
    tuned = list(files.values())
    queues, begin = queues_of([service_of(file) for file in tuned])
    measured = corrected(tuned, queues, begin)
    queues = slowed(queues, measured.slower)
    candidates = [_candidates(file) for file in tuned]
    lanes = np.concatenate([np.array(own) + at for own, at in zip(candidates, begin, strict=False)])
    type_of = np.repeat(np.arange(len(tuned)), [len(own) for own in candidates])
    limits_rps = busiest_rps(queues)[lanes]
    highest_rps = np.zeros(len(tuned))
    np.maximum.at(highest_rps, type_of, limits_rps)
    rates_rps = highest_rps[type_of][:, None] * RATES
    # What is overloaded by far is never chosen as long as another configuration is not.
    hopeless = rates_rps > FAR * limits_rps[:, None]
    hopeless &= (limits_rps < highest_rps[type_of])[:, None]
    grid_s = latency_grid(slo.latency_ms / 1000, float(queues.alone_s[lanes].min()) / 2)
    found = latencies(
        taken(queues, lanes),
        measured.latency[lanes],
        np.where(hopeless, np.nan, rates_rps),
        _dispersions(dispersion),
        (grid_s, slo.latency_ms / 1000),
    )
    types = []
    for place, (name, file) in enumerate(files.items()):
        own = np.flatnonzero(type_of == place)
        simulated = _Simulated(
            np.array(candidates[place]),
            highest_rps[place] * RATES,
            found.within[own],
            found.shares[own],
            limits_rps[own],
            _cpu_s(file, taken(queues, lanes[own]), candidates[place], highest_rps[place] * RATES),
        )
        grids = _Grids(_dispersions(dispersion), grid_s)
        served = _served(file, simulated, grids, slo)
        kept = slice(begin[place], begin[place + 1])
        own_measured = Corrected(
            measured.slower[kept], measured.latency[kept], measured.pairs[kept]
        )
        types.append(_type((name, prices.machines[name], file), served, own_measured, slo))
    return types


class _Grids(NamedTuple):
    dispersions: Samples
    latency_s: Samples


class _Simulated(NamedTuple):
    """Candidates of one type; arrays over them."""

    configs: Indices
    """Places in the file's `service.configs`."""
    rates_rps: Samples
    """Shape (R,)."""
    within: Samples
    """Shape (candidates, R, D)."""
    shares: Samples
    """Shape (candidates, R, D, X)."""
    limits_rps: Samples
    """Their saturations."""
    cpu_s: Samples
    """Shape (candidates, R)."""


def _demand_usable(files: Mapping[str, TunedFile], prices: Prices) -> None:
    if not files:
        raise UsageError("no tuned file: a plan needs one for each machine type")
    first_name, first = next(iter(files.items()))
    for name, file in files.items():
        if file.service is None:
            raise UsageError(
                f"the file of {name}: an older autotune wrote it, which does not hold how long "
                "executions take: search again"
            )
        if name not in prices.machines:
            known = ", ".join(prices.machines) or "none"
            raise UsageError(f"the price list has no machine {name!r}; it has {known}")
        if file.model.sha256 != first.model.sha256:
            raise UsageError(
                f"the files of {first_name} and {name} are of different models, "
                f"{first.model.name} and {file.model.name}: a plan is for one"
            )


def _dispersions(highest: float) -> Samples:
    if highest <= NEARLY_POISSON:
        return np.array([1.0])
    return 1 + (min(highest, MOST_DISPERSION) - 1) * np.array(PARTS)


def _candidates(file: TunedFile) -> list[int]:
    """Return the places of the policy's configurations and the recommended one, each once."""
    places = {one.config: place for place, one in enumerate(service_of(file).configs)}
    wanted = [*(entry.config for entry in file.policy), file.recommended]
    return list(dict.fromkeys(places[config] for config in wanted if config in places))


def _served(file: TunedFile, simulated: _Simulated, grids: _Grids, slo: Slo) -> Served:
    """Choose what runs at each rate and dispersion."""
    rates_rps, rows = simulated.rates_rps, np.arange(len(simulated.rates_rps))[:, None]
    columns = np.arange(len(grids.dispersions))
    limits_rps = simulated.limits_rps[:, None, None]
    # Where queues grow, some are in time before they have grown: none that lasts is worth less.
    worth = np.where(limits_rps > rates_rps[:, None], simulated.within, -1 / limits_rps)
    best = np.argmax(worth, axis=0)
    own = _policy_at(file, simulated)
    kept = worth[np.maximum(own, 0)[:, None], rows, columns] >= slo.quantile
    chosen = np.where((own[:, None] >= 0) & kept, own[:, None], best)
    return Served(
        rates_rps=rates_rps,
        dispersions=grids.dispersions,
        config_of=simulated.configs[chosen],
        latency_s=grids.latency_s,
        shares=simulated.shares[chosen, rows, columns].astype(np.float64),
        within=simulated.within[chosen, rows, columns],
        cpu_s=simulated.cpu_s[chosen, rows],
        saturation_rps=float(simulated.limits_rps.max()),
    )


def _policy_at(file: TunedFile, simulated: _Simulated) -> Indices:
    """Return which candidate the policy has for each rate; -1: the rate is above its loads."""
    configs = service_of(file).configs
    place = {configs[at].config: number for number, at in enumerate(simulated.configs)}
    entries = [file.entry_for(float(rate_rps)) for rate_rps in simulated.rates_rps]
    return np.array([-1 if entry is None else place[entry.config] for entry in entries])


def _cpu_s(file: TunedFile, queues: Queues, configs: Sequence[int], rates_rps: Samples) -> Samples:
    """Return CPU seconds per request, shape (configs, R): measured if it was, or estimated.

    Between the loads of measurements lie straight lines. The estimate is that of
    `predict.forecast.cpu_s` for threads that sleep: every thread works while its replica executes,
    in batches of what arrives while the first request waits.
    """
    service = service_of(file)
    arriving = 1 + rates_rps * queues.timeout_s[:, None]
    batch = np.minimum(queues.max_batch[:, None], arriving)
    rows = np.arange(len(configs))[:, None]
    found = batch_seconds(queues.alone_s, rows, batch) / batch
    for row, place in enumerate(configs):
        config = service.configs[place].config
        found[row] *= _threads(config, service)
        if seen := _cpu_seen(file, config):
            found[row] = np.interp(rates_rps, list(seen), list(seen.values()))
    return np.asarray(found)


def _threads(config: ServingConfig, service: ServiceModel) -> int:
    return 1 if config.on_gpu else config.session_shape.threads(service.default_threads)


def _cpu_seen(file: TunedFile, config: ServingConfig) -> dict[float, float]:
    """Return measured CPU seconds per request by load, ascending; the policy's own come first."""
    seen = {
        trial.load_rps: trial.measured.cpu_s_per_request
        for trial in file.trials
        if trial.config == config and trial.measured is not None and not trial.measured.diverged
    }
    for entry in file.policy:
        if entry.config == config and entry.measured is not None:
            seen[entry.load_rps] = entry.measured.cpu_s_per_request
    return dict(sorted(seen.items()))


def _type(
    known: tuple[str, MachinePrice, TunedFile], served: Served, measured: Corrected, slo: Slo
) -> MachineType:
    name, price, file = known
    capacity_rps = capacity_at(served, slo.quantile, float(served.dispersions[-1]))
    at = int(np.clip(np.searchsorted(served.rates_rps, capacity_rps), 1, len(served.rates_rps)) - 1)
    place = int(served.config_of[at, -1])
    correction = float(measured.latency[place])
    notes = []
    if not 1 / ODD < correction < ODD:
        notes.append(
            f"{name}: measured latencies are {correction:.2g} times what its execution times give: "
            "the plan stands on the measured, but how much it can serve is less certain"
        )
    if measured.slower[place] > 1:
        notes.append(
            f"{name}: queues grew without end at a load that its execution times allow: they are "
            f"taken to be {measured.slower[place]:.2g} times as long"
        )
    if capacity_rps > BEYOND * file.policy[-1].load_rps:
        notes.append(
            f"{name}: its capacity of {format_rps(capacity_rps)} requests/s is above the highest "
            f"load of its search, {format_rps(file.policy[-1].load_rps)}/s: nothing was measured "
            "there"
        )
    return MachineType(name, price, file, served, capacity_rps, correction, tuple(notes), measured)
