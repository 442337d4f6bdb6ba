"""Loads ahead of the time that a machine takes to start: forecast from the past, and judged."""

import math
import warnings
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from autotune.outcome import Samples
from autotune.planning.records import ForecastError
from autotune.units import DAY_S

MODEL = "exponential smoothing with a damped trend, or autoregression, by which was less off lately"
BLOCKS_AHEAD = 4
"""Loads are smoothed by blocks, so many in the time that is looked ahead."""
FIRST_FIT = 32
"""Blocks; before, the last one is the forecast."""
MOST_FITTED = 1000
"""Blocks, the latest: what was long ago says little, and fitting stays quick."""
REMEMBERED = 100
"""Blocks in which an error fades to a third."""
LAGS = 8
"""Of the autoregression."""
SLOTS = 48
"""Of a day's profile."""
_ITERATIONS = 200


class Forecasts(NamedTuple):
    """One forecast a step; arrays of shape (steps,), requests/s."""

    ahead_rps: Samples
    """Of the load in step k + lead, from what came before step k."""
    naive_rps: Samples
    """The same by the last block as it is."""
    lead: int
    """Steps."""
    error: ForecastError | None
    """None: the trace is too short to forecast from."""


def forecast_loads(loads_rps: Samples, step_s: float, lead_s: float) -> Forecasts:
    """Return what is forecast of the loads, a lead ahead, in each step from its past only.

    Square roots of loads (which makes the noise of counts alike at all loads) are averaged over
    blocks of steps. Two models are fitted to the latest blocks whenever the past has doubled, and
    at each eighth of the trace: exponential smoothing with an additive damped trend (Gardner and
    McKenzie 1985; ETS(A, Ad, N) of Hyndman et al. 2008, statsmodels' `ETSModel`), which follows
    the level, and an autoregression (`AutoReg`), which comes back to the mean. Their states follow
    the loads between fits. After each block, the one holds that was least off lately, a lead
    ahead; the last block as it is among them. Of two days or more, the profile of the past days by
    half hours is taken off first, once there is one.

    Args:
        loads_rps: by step, shape (steps,).
        step_s: seconds of a step.
        lead_s: that is looked ahead.
    """
    steps = len(loads_rps)
    lead = max(1, math.ceil(lead_s / step_s - 1e-9))
    width = max(1, lead // BLOCKS_AHEAD)
    blocks = steps // width
    if blocks < 2:
        # Nothing but the first step's load is ever known.
        same_rps = np.full(steps, loads_rps[0])
        return Forecasts(same_rps, same_rps, lead, None)
    by_block = loads_rps[: blocks * width].reshape(blocks, width)
    first = lead // width + 1
    roots = _follow(np.sqrt(by_block).mean(axis=1), DAY_S / (step_s * width), first)
    step = np.arange(steps)
    # In a step its own block is not over; what is left at the end is no block.
    known = np.minimum(step // width, blocks) - 1
    further = np.clip((step + lead) // width - known - first, 0, 1)
    # A load's mean is above the square of its mean root by the root's variance, 1/4 for counts.
    ahead_rps = roots[np.maximum(known, 0), further] ** 2 + 1 / (4 * step_s)
    naive_rps = by_block.mean(axis=1)[np.maximum(known, 0)]
    # Before there is a block, the first step's load is what there is to know.
    ahead_rps, naive_rps = (
        np.where(known < 0, loads_rps[0], one) for one in (ahead_rps, naive_rps)
    )
    error = None
    if (judged := min(FIRST_FIT * width, steps // 2)) + lead < steps:
        error = _error((ahead_rps, naive_rps), loads_rps, (lead, judged), step_s)
    return Forecasts(ahead_rps, naive_rps, lead, error)


def _follow(roots: Samples, day: float, ahead: int) -> Samples:
    """Return what is forecast once each block has come, shape (blocks, 2).

    Args:
        roots: by block, shape (blocks,).
        day: blocks of a day.
        ahead: blocks until the first of the two that are forecast; the other comes next.
    """
    blocks = len(roots)
    found = np.column_stack([roots, roots])  # The last block, until something is fitted.
    for first, end in pairwise([*_fit_points(blocks, day), blocks]):
        shape = np.zeros(SLOTS)
        if first >= day and blocks >= 2 * day:
            shape = _profile(roots[:first], day)
        latest = max(0, first - MOST_FITTED)
        place = np.arange(latest, end)
        left = roots[latest:end] - _at(shape, place, day)
        to_come = place[:, None] + ahead + np.arange(2)
        rise = _at(shape, to_come.ravel(), day).reshape(to_come.shape)
        models = [one + rise for one in _models(left, first - latest, ahead)]
        models.append(np.column_stack([roots[latest:end]] * 2))
        followed = _followed(np.array(models), roots[latest:end], ahead)
        found[first - 1 : end] = followed[first - 1 - latest :]
    # A model that a burst has thrown off may run away: to no more than has come before.
    return np.clip(found, 0.0, np.maximum.accumulate(roots)[:, None])


def _followed(models: Samples, roots: Samples, ahead: int) -> Samples:
    """Return the forecasts of the model that was least off lately, chosen anew after each block.

    Args:
        models: their forecasts, shape (models, blocks, 2).
        roots: by block.
        ahead: as in `_follow`.
    """
    blocks = len(roots)
    errors = np.zeros((len(models), blocks))
    # In load, and only once the block has come that was forecast.
    forecast = np.maximum(models[:, : blocks - ahead, 0], 0.0) ** 2
    errors[:, ahead:] = np.abs(forecast - roots[ahead:] ** 2)
    errors[:, : ahead + LAGS] = 0.0
    lately = lfilter([1 / REMEMBERED], [1, 1 / REMEMBERED - 1], errors, axis=1)
    return np.asarray(models[np.argmin(lately, axis=0), np.arange(blocks)])


def _models(roots: Samples, fitted: int, ahead: int) -> list[Samples]:
    """Return the forecasts of each model after each block, shape (blocks, 2) each.

    Args:
        roots: by block, without the profile.
        fitted: blocks from the first on that models may see.
        ahead: as in `_follow`.
    """
    last = np.column_stack([roots, roots])
    if np.ptp(roots[:fitted]) == 0:
        return [last]
    made = (_smoothed(roots, fitted, ahead), _regressed(roots, fitted, ahead))
    return [last, *(one for one in made if one is not None)]


def _smoothed(roots: Samples, fitted: int, ahead: int) -> Samples | None:
    """Return the forecasts of exponential smoothing; None: its fit did not converge."""
    # Takes seconds to import, and only who plans needs it.
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    with warnings.catch_warnings():
        # What they warn of, that it did not converge, is asked for below.
        warnings.simplefilter("ignore")
        model = ETSModel(roots[:fitted], error="add", trend="add", damped_trend=True)
        found = model.fit(disp=False, maxiter=_ITERATIONS)
    if not found.mle_retvals["converged"] or not np.isfinite(found.params).all():
        return None
    alpha, beta, phi = map(float, found.params[:3])
    level, trend = np.empty(len(roots)), np.empty(len(roots))
    level[:fitted], trend[:fitted] = found.level, found.slope
    now, slope = float(found.level[-1]), float(found.slope[-1])
    for block, root in enumerate(roots[fitted:].tolist(), start=fitted):
        error = root - now - phi * slope
        now, slope = now + phi * slope + alpha * error, phi * slope + beta * error
        level[block], trend[block] = now, slope
    damped = np.cumsum(phi ** np.arange(1, ahead + 2))[-2:]
    return np.asarray(level[:, None] + trend[:, None] * damped)


def _regressed(roots: Samples, fitted: int, ahead: int) -> Samples | None:
    """Return the forecasts of an autoregression, iterated; None: it is none that can be."""
    from statsmodels.tools.sm_exceptions import SingularMatrixWarning
    from statsmodels.tsa.ar_model import AutoReg

    if fitted < 4 * LAGS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", SingularMatrixWarning)
        try:
            found = AutoReg(roots[:fitted], lags=LAGS).fit()
        except SingularMatrixWarning:  # a load that hardly changed fits many
            return None
    if not np.isfinite(found.params).all():
        return None
    # Of a forecast: constant, then weights of the last blocks, the latest first.
    one = np.asarray(found.params, dtype=np.float64)
    constants, weights = [one[0]], [one[1:]]
    for _ in range(ahead):
        before = weights[-1]
        constants.append(constants[-1] + before[0] * one[0])
        weights.append(before[0] * one[1:] + np.append(before[1:], 0.0))
    lags = np.lib.stride_tricks.sliding_window_view(roots, LAGS)[:, ::-1]
    forecast = np.column_stack([roots, roots])
    for further in (0, 1):
        at = ahead - 1 + further
        forecast[LAGS - 1 :, further] = constants[at] + lags @ weights[at]
    return forecast


def _fit_points(blocks: int, day: float) -> list[int]:
    """Return after how many blocks it is fitted.

    Whenever the past has doubled, by days too where there are two, and each eighth of the trace.
    """
    doublings = range(blocks.bit_length())
    points = {FIRST_FIT * 2**power for power in doublings}
    points |= {max(FIRST_FIT, math.ceil(blocks * part / 8)) for part in range(1, 8)}
    if blocks >= 2 * day:
        points |= {max(FIRST_FIT, math.ceil(day * 2**power)) for power in doublings}
    return sorted(point for point in points if point < blocks)


def _profile(roots: Samples, day: float) -> Samples:
    """Return the mean by time of day of whole days, around their mean; shape (SLOTS,)."""
    whole = math.floor(len(roots) / day + 1e-9) * day
    recent = roots[-round(whole) :]
    place = np.arange(len(roots) - len(recent), len(roots))
    slot = np.minimum((place % day / day * SLOTS).astype(np.int64), SLOTS - 1)
    sums = np.bincount(slot, weights=recent, minlength=SLOTS)
    sizes = np.bincount(slot, minlength=SLOTS)
    # Blocks longer than half an hour leave slots out.
    filled = np.flatnonzero(sizes)
    means = np.interp(np.arange(SLOTS), filled, sums[filled] / sizes[filled], period=SLOTS)
    return np.asarray(means - means.mean())


def _at(profile: Samples, block: npt.NDArray[np.int64], day: float) -> Samples:
    """Return a profile at blocks, with straight lines between the middles of its slots."""
    slot = (block + 0.5) % day / day * SLOTS - 0.5
    return np.asarray(np.interp(slot, np.arange(SLOTS), profile, period=SLOTS))


def _error(
    forecasts: tuple[Samples, Samples], loads_rps: Samples, when: tuple[int, int], step_s: float
) -> ForecastError:
    """Return how far off the forecasts were.

    Args:
        forecasts: the model's and the naive ones, by the step that they were made in.
        loads_rps: by step.
        when: steps of the lead, and of the beginning, which is not judged.
        step_s: seconds of a step.
    """
    lead, first = when
    actual_rps = loads_rps[first + lead :]
    ahead_rps, naive_rps = (one[first:-lead] for one in forecasts)
    total = max(float(actual_rps.sum()), 1e-9)
    return ForecastError(
        model=MODEL,
        lead_s=lead * step_s,
        error=float(np.abs(ahead_rps - actual_rps).sum()) / total,
        naive_error=float(np.abs(naive_rps - actual_rps).sum()) / total,
        bias=float((ahead_rps - actual_rps).sum()) / total,
        under_share=float(np.mean(ahead_rps < actual_rps)),
    )
