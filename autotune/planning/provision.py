"""Machines over time: asked for, started, paid for, stopped."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.planning.machines import MachineType
from autotune.planning.mixes import Mixes
from autotune.planning.prices import MachinePrice

Counts = npt.NDArray[np.int64]
_SLACK_S = 1e-6
"""Sums of steps are rounded."""


class Fleet(NamedTuple):
    """Machines in each step."""

    ready: Counts
    """Shape (steps, types): that serve."""
    billed_s: Samples
    """Shape (types,): machine-seconds that are paid for."""
    starts: int
    """Of machines, those of the first step included."""


class _Group(NamedTuple):
    """Machines that were asked for in one step."""

    begun: int
    """That step."""
    serves: int
    """Step from which on they serve."""
    may_stop: int
    """Step from whose beginning on they may; where billing is by the hour, at which they may."""
    machines: int


def machines_for(loads_rps: Samples, mixes: Mixes) -> Counts:
    """Return the cheapest machines for each load, shape (loads, types); none for no load.

    A load beyond the last of `mixes` gets that one's machines: there are no more.
    """
    at = np.searchsorted(mixes.loads_rps, loads_rps, side="left")
    wanted = mixes.counts[np.minimum(at, len(mixes.loads_rps) - 1)]
    return np.asarray(np.where(np.asarray(loads_rps)[:, None] > 0, wanted, 0))


def provision(wanted: Counts, types: list[MachineType], step_s: float) -> Fleet:
    """Return the machines that there are when so many are wanted from each step on.

    A machine that is asked for at the beginning of a step serves after `start_s`, rounded up to
    whole steps, and is paid for from the asking. Those of the first step have begun before. A
    machine is stopped only when to keep it for another step would cost more: one that is paid to
    the end of its hour is kept until then, and may be wanted again. Of those that may be stopped,
    the last started goes first, and none goes before a younger one that stays serves. Where
    several types take part, none is stopped before what replaces it can serve.

    Args:
        wanted: shape (steps, types).
        types: of the machines.
        step_s: seconds of a step.
    """
    prices = [one.price for one in types]
    if np.count_nonzero(wanted.sum(axis=0)) > 1:
        wanted = _held(wanted, max(_lead(price, step_s) for price in prices))
    ready = np.empty_like(wanted)
    billed_s = np.zeros(len(types))
    starts = 0
    for place, price in enumerate(prices):
        column = wanted[:, place]
        if not column.any():
            ready[:, place] = 0
            continue
        ready[:, place], billed_s[place], begun = _one_type(column, price, step_s)
        starts += begun
    return Fleet(ready, billed_s, starts)


def fixed(machines: Counts, types: list[MachineType], steps: int, step_s: float) -> Fleet:
    """Return the same machines in all steps.

    Args:
        machines: shape (types,).
        types: of the machines.
        steps: how many.
        step_s: seconds of one.
    """
    each_s = np.array([billed_seconds(steps * step_s, one.price) for one in types])
    ready = np.broadcast_to(machines, (steps, len(types)))
    return Fleet(ready, machines * each_s, int(machines.sum()))


def billed_seconds(seconds: float, price: MachinePrice) -> float:
    """Return what is paid for a machine that ran so long."""
    billed = math.ceil((seconds - _SLACK_S) / price.billed_by_s) * price.billed_by_s
    return max(price.minimum_s, billed, 0.0)


def lead_s(types: list[MachineType], mixes: Mixes, step_s: float) -> float:
    """Return the longest time that machines which may be wanted take to serve, in whole steps."""
    prices = [types[place].price for place in np.flatnonzero(mixes.counts.sum(axis=0))]
    return step_s * max((_lead(price, step_s) for price in prices), default=0)


def _lead(price: MachinePrice, step_s: float) -> int:
    return math.ceil((price.start_s - _SLACK_S) / step_s)


def _held(wanted: Counts, lead: int) -> Counts:
    """Return the most that was wanted now and in the `lead` steps before."""
    held = wanted.copy()
    reach = 0
    while reach < lead:  # Doubles what is looked back upon, as far as it goes.
        further = min(reach + 1, lead - reach)
        held[further:] = np.maximum(held[further:], held[:-further].copy())
        reach += further
    return held


def _one_type(wanted: Counts, price: MachinePrice, step_s: float) -> tuple[Counts, float, int]:
    """Return the ready machines by step, the seconds that are billed, and the starts."""
    steps = len(wanted)
    lead = _lead(price, step_s)
    by_long = price.billed_by_s > step_s
    ready_change = np.zeros(steps + 1, dtype=np.int64)
    groups: list[_Group] = []
    billed_s, starts, alive = 0.0, 0, 0
    # Nothing happens but where other machines are wanted, or where one may stop that is too many.
    changes = [0, *(np.flatnonzero(np.diff(wanted)) + 1).tolist()]
    for (step, until), target in zip(pairwise([*changes, steps]), wanted[changes], strict=True):
        now: int | None = step
        while now is not None and now < until and alive > target:
            if by_long:
                stopped = _stop_paid(groups, now, int(target), (price, step_s))
            else:
                stopped = _stop_newest(groups, now, int(target))
            billed_s += _ended(stopped, now, ready_change, (price, step_s))
            alive = sum(group.machines for group in groups)
            events = (at for group in groups for at in (group.may_stop, group.serves))
            now = min((at for at in events if at > now), default=None)
        if target > alive:
            least = 0 if by_long else _least(price, step_s)
            serves = step + lead if step else 0
            groups.append(_Group(step, serves, step + least, int(target) - alive))
            starts += int(target) - alive
            alive = int(target)
    billed_s += _ended(groups, steps, ready_change, (price, step_s))
    return np.cumsum(ready_change[:-1]), billed_s, starts


def _ended(
    stopped: list[_Group], now: int, ready_change: Counts, billing: tuple[MachinePrice, float]
) -> float:
    """Write down when machines served that have stopped, and return the seconds that are billed.

    Args:
        stopped: the machines.
        now: step at whose beginning they stop.
        ready_change: what more is ready in each step than before it; is brought up to date.
        billing: the price, and the seconds of a step.
    """
    price, step_s = billing
    billed_s = 0.0
    for group in stopped:
        billed_s += group.machines * billed_seconds((now - group.begun) * step_s, price)
        if group.serves < now:
            ready_change[group.serves] += group.machines
            ready_change[now] -= group.machines
    return billed_s


def _least(price: MachinePrice, step_s: float) -> int:
    """Return the steps that are paid for anyway."""
    return math.ceil((price.minimum_s - _SLACK_S) / step_s)


def _paid_until(begun: int, running: int, price: MachinePrice, step_s: float) -> int:
    """Return the step at whose beginning it costs more to go on, if it runs until `running`."""
    paid_s = billed_seconds((running - begun) * step_s, price)
    return max(running, begun + math.floor((paid_s + _SLACK_S) / step_s))


def _stop_newest(groups: list[_Group], step: int, target: int) -> list[_Group]:
    """Take out machines that are too many, the last started first, and return them.

    None stops that serves, or will, before a younger one that has to stay.

    Args:
        groups: in the order of their starts.
        step: now.
        target: machines that are wanted.
    """
    surplus = sum(group.machines for group in groups) - target
    stopped: list[_Group] = []
    place = len(groups) - 1
    while surplus > 0 and place >= 0:
        group = groups[place]
        if group.may_stop <= step:
            count = min(surplus, group.machines)
            stopped.append(group._replace(machines=count))
            surplus -= count
            if count == group.machines:
                del groups[place]
            else:
                groups[place] = group._replace(machines=group.machines - count)
        elif group.serves > step:
            break
        place -= 1
    return stopped


def _stop_paid(
    groups: list[_Group], step: int, target: int, billing: tuple[MachinePrice, float]
) -> list[_Group]:
    """Take out machines that are too many and whose paid time ends now, and return them.

    Args:
        groups: in the order of their starts; those that are paid for again are brought up to date.
        step: now.
        target: machines that are wanted.
        billing: the price, and the seconds of a step.
    """
    for place, group in enumerate(groups):
        if group.may_stop < step:
            groups[place] = group._replace(may_stop=_paid_until(group.begun, step, *billing))
    stopped = _stop_newest(groups, step, target)
    for place, group in enumerate(groups):
        if group.may_stop <= step:  # It goes on, so it is paid for again.
            again = _paid_until(group.begun, step + 1, *billing)
            groups[place] = group._replace(may_stop=again)
    return stopped
