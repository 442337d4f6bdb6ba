"""Rules that decide, step by step, how many machines there should be.

Each sees the loads of the steps before and nothing else; what was before the first step is taken
to be like the first.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d

from autotune.outcome import Samples
from autotune.planning.attained import QUEUE_BOUND
from autotune.planning.forecasts import Forecasts
from autotune.planning.machines import MachineType, shares_at
from autotune.planning.provision import Counts

HPA_SYNC_S = 15.0
HPA_TOLERANCE = 0.1
HPA_STABILISATION_S = 300.0
HPA_MORE = 4
"""Machines that may be added in `HPA_SYNC_S`, if that is more than to double them."""
RAY_LOOK_BACK_S = 30.0
RAY_UPSCALE_S = 30.0
RAY_DOWNSCALE_S = 600.0
SEEN_S = 15.0
"""Over which what is seen now is averaged."""
ERRORS_KEPT = 4096
"""Past errors of the forecast that its margin goes by."""
ERRORS_NEEDED = 20
MARGIN_UPDATES = 200
_RATES = 512


class Scalable(NamedTuple):
    """The one machine type that a reactive policy scales."""

    capacity_rps: float
    most: int
    start: int
    """Steps that one takes to serve."""
    ongoing: Samples
    """Requests in one machine by its rate, evenly spaced to saturation; by Little's law."""
    saturation_rps: float


def scalable(one: MachineType, most: int, step_s: float, dispersion: float) -> Scalable:
    """Return what a reactive policy needs to know of a type.

    Args:
        one: the type.
        most: machines that there may be.
        step_s: seconds of a step.
        dispersion: of what reaches a machine.
    """
    rates_rps = np.linspace(0.0, one.served.saturation_rps, _RATES)
    shares = shares_at(one.served, rates_rps, np.full(_RATES, dispersion))
    beyond = 1 - shares
    widths_s = np.diff(one.served.latency_s)
    mean_s = one.served.latency_s[0] + ((beyond[:, 1:] + beyond[:, :-1]) / 2) @ widths_s
    return Scalable(
        capacity_rps=one.capacity_rps,
        most=most if one.price.most is None else min(most, one.price.most),
        start=math.ceil((one.price.start_s - 1e-6) / step_s),
        ongoing=rates_rps * mean_s,
        saturation_rps=one.served.saturation_rps,
    )


def as_hpa(loads_rps: Samples, step_s: float, one: Scalable, target: float) -> Counts:
    """Return the machines that Kubernetes' Horizontal Pod Autoscaler asks for, shape (steps,).

    Its documentation ("Horizontal Pod Autoscaling", algorithm details and configurable scaling
    behavior): every 15 s, desired = ceil(current x value / target), and nothing where the ratio is
    within 0.1 of 1; pods that do not serve yet count as idle, so that desired is the load over
    what one should take. It at most doubles or adds 4 in 15 s, whichever is more; it goes down to
    the highest that was desired in the last 300 s. The value is the load of the last 15 s over the
    capacity within the SLO, so it does not stop at 1 as a CPU's use does. With longer steps it
    syncs once a step. At least one machine is kept.

    Args:
        loads_rps: shape (steps,).
        step_s: seconds of a step.
        one: the type.
        target: of utilisation, above 0.
    """
    sync = max(1, round(HPA_SYNC_S / step_s))
    window = max(1, round(HPA_STABILISATION_S / (sync * step_s)))
    seen_rps = trailing_mean(loads_rps, sync)
    per_machine_rps = target * one.capacity_rps
    current = _bounded(seen_rps[0] / per_machine_rps, one.most)
    wanted = np.empty(len(loads_rps), dtype=np.int64)
    recommended = [current] * window
    for step in range(0, len(loads_rps), sync):
        ratio = seen_rps[step] / per_machine_rps / current
        desired = current
        if abs(ratio - 1) > HPA_TOLERANCE:
            desired = _bounded(seen_rps[step] / per_machine_rps, one.most)
        doublings = 2.0 ** min(64.0, sync * step_s / HPA_SYNC_S)
        more = HPA_MORE * sync * step_s / HPA_SYNC_S
        recommended[(step // sync) % window] = desired
        if desired > current:
            current = int(min(desired, max(current * doublings, current + more)))
        elif desired < current:
            current = min(current, max(recommended))
        wanted[step : step + sync] = current
    return wanted


def as_ray(loads_rps: Samples, step_s: float, one: Scalable, target: float) -> Counts:
    """Return the machines that Ray Serve's autoscaler asks for, shape (steps,).

    Its documentation ("Advanced Ray Serve Autoscaling", `AutoscalingConfig`): desired is the
    ongoing requests, averaged over 30 s, over `target_ongoing_requests`, rounded up; it scales up
    once that was above the current number for 30 s on end, and down once below for 600 s. Ongoing
    are, by Little's law, those that are served at each machine's rate, and a fluid backlog. At
    least one machine is kept.

    Args:
        loads_rps: shape (steps,).
        step_s: seconds of a step.
        one: the type.
        target: ongoing requests of a machine, above 0.
    """
    look_back = max(1, round(RAY_LOOK_BACK_S / step_s))
    up, down = (max(1, math.ceil(s / step_s)) for s in (RAY_UPSCALE_S, RAY_DOWNSCALE_S))
    scale = (len(one.ongoing) - 1) / one.saturation_rps
    most_ongoing = one.ongoing.tolist()
    current = _bounded(_ongoing(loads_rps[0], one) / target, one.most)
    wanted = [current] * len(loads_rps)
    recent = [_ongoing(loads_rps[0], one)] * look_back
    total = sum(recent)
    above = below = 0
    waiting = 0.0
    for step, load_rps in enumerate(loads_rps.tolist()):
        desired = _bounded(total / look_back / target, one.most)
        above = above + 1 if desired > current else 0
        below = below + 1 if desired < current else 0
        if above >= up or below >= down:
            current, above, below = desired, 0, 0
        wanted[step] = current
        # Those that serve: the fewest that were asked for within the time that a start takes.
        running = min(wanted[max(0, step - one.start) : step + 1])
        excess = (load_rps - running * one.saturation_rps) * step_s
        waiting = min(max(0.0, waiting + excess), QUEUE_BOUND * running)
        at = min(load_rps / running, one.saturation_rps) * scale
        ongoing = running * most_ongoing[int(at)] + waiting
        total += ongoing - recent[step % look_back]
        recent[step % look_back] = ongoing
    return np.array(wanted, dtype=np.int64)


def ongoing_at(one: Scalable, utilisation: float) -> float:
    """Return the requests in a machine that is utilised so, of its capacity within the SLO."""
    rate_rps = min(utilisation * one.capacity_rps, one.saturation_rps)
    return float(one.ongoing[int(rate_rps / one.saturation_rps * (len(one.ongoing) - 1))])


def _ongoing(load_rps: float, one: Scalable) -> float:
    """Return the requests in as many machines as a load needs."""
    machines = max(1, math.ceil(load_rps / one.capacity_rps))
    return machines * ongoing_at(one, load_rps / machines / one.capacity_rps)


def _bounded(machines: float, most: int) -> int:
    return min(most, max(1, math.ceil(machines - 1e-9)))


def trailing_mean(loads_rps: Samples, steps: int) -> Samples:
    """Return the mean of the steps before each; what was before the first is like the first."""
    padded = np.concatenate([np.full(steps, loads_rps[0]), loads_rps])
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    count = len(loads_rps)
    return np.asarray((sums[steps : steps + count] - sums[:count]) / steps)


def trailing_max(loads_rps: Samples, steps: int) -> Samples:
    """Return the most of each step and the `steps` before it."""
    span = min(steps + 1, len(loads_rps))
    return np.asarray(maximum_filter1d(loads_rps, span, origin=(span - 1) // 2, mode="nearest"))


def ratios_by(forecasts: Forecasts, loads_rps: Samples, quantiles: Samples) -> Samples:
    """Return quantiles of what came over what was forecast, shape (steps, quantiles).

    In each step of the latest `ERRORS_KEPT` errors that are known by then, brought up to date
    `MARGIN_UPDATES` times over the trace; 1 as long as there are fewer than `ERRORS_NEEDED`.
    """
    steps, lead = len(loads_rps), forecasts.lead
    found = np.ones((steps, len(quantiles)))
    made_rps = np.maximum(forecasts.ahead_rps[: max(0, steps - lead)], 1e-9)
    ratios = loads_rps[lead:] / made_rps
    for first in range(0, steps, max(1, steps // MARGIN_UPDATES)):
        known = first - lead
        if known >= ERRORS_NEEDED:
            recent = ratios[max(0, known - ERRORS_KEPT) : known]
            found[first:] = np.quantile(recent, quantiles)
    return found


def ahead(forecasts: Forecasts, factor: Samples, step_s: float, hold_s: float) -> Samples:
    """Return the load to provide for in each step: the forecast times a factor, held for a while.

    Args:
        forecasts: of the loads.
        factor: by step.
        step_s: seconds of a step.
        hold_s: for so long it does not go down.
    """
    wanted_rps = forecasts.ahead_rps * factor
    return trailing_max(wanted_rps, round(hold_s / step_s))
