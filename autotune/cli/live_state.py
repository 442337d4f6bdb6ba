"""What is known of a run under way, gathered from its events: what the live screen shows."""

from typing import NamedTuple

from autotune.spec import ServingConfig, Slo
from autotune.stages.events import (
    Doing,
    Event,
    Inspected,
    Loading,
    Looked,
    Predicted,
    Profiled,
    Said,
    Standing,
    Started,
    Tried,
)
from autotune.trial.wire import Opening

WORTH_SAYING_S = 1.0
"""Sessions that load in less need no forecast."""

Place = tuple[float, ServingConfig]
"""A load in requests/s, and a configuration."""


class State(NamedTuple):
    """Everything told so far. Times ending in `_s` are of one clock."""

    began_s: float
    name: str = ""
    slo: Slo | None = None
    step: str = ""
    step_since_s: float = 0.0
    what: str = ""
    """What is being done right now, of the step."""
    what_since_s: float = 0.0
    what_takes_s: float | None = None
    opening: Opening | None = None
    """Sessions that are being opened for it."""
    opening_since_s: float = 0.0
    load_s: float = 0.0
    """Seconds that loading took the first time."""
    ends_at_s: float | None = None
    predicted: dict[float, tuple[ServingConfig, float]] = {}  # noqa: RUF012 - never changed
    """By load: the best by prediction alone, and its predicted ms."""
    seen: dict[Place, Tried] = {}  # noqa: RUF012 - never changed
    """The last that was told of each."""
    standings: tuple[Standing, ...] = ()
    """By load, ascending."""
    profiled: int = 0
    measured: int = 0
    looked: Looked | None = None
    warnings: tuple[str, ...] = ()


def begin(now_s: float) -> State:
    """Return what is known before anything is told."""
    return State(began_s=now_s, step="starting", step_since_s=now_s)


def take(state: State, event: Event, now_s: float) -> State:
    """Return what is known after an event."""
    match event:
        case Loading() | Inspected():
            return _model(state, event, now_s)
        case Started():
            return _step(state, event.step, event.ends_in_s, now_s)
        case Doing():
            return _what(state, event.what, now_s)._replace(what_takes_s=event.seconds)
        case Opening():
            return _opening(state, event, now_s)
        case Profiled():
            return _what(state, "", now_s)._replace(profiled=state.profiled + 1)
        case Predicted():
            return _predicted(state, event, now_s)
        case Tried():
            return _tried(state, event, now_s)
        case Looked():
            return state._replace(looked=event)
        case Said(warning=True):
            return state._replace(warnings=(*state.warnings, event.text))
    return state


def activity(state: State) -> tuple[str, float]:
    """Return what is going on right now, in words, and since when."""
    if state.opening is not None:
        each = f", about {state.load_s:.0f} s each" if state.load_s >= WORTH_SAYING_S else ""
        number = f"opening session {state.opening.opened + 1} of {state.opening.of}{each}"
        return (f"{state.what}: {number}" if state.what else number), state.opening_since_s
    if state.what:
        return state.what, state.what_since_s
    return state.step, state.step_since_s


def _model(state: State, event: Loading | Inspected, now_s: float) -> State:
    if isinstance(event, Inspected):
        return state._replace(load_s=event.info.load_s)
    state = state._replace(name=event.name, slo=event.slo)
    return _step(state, event.step, None, now_s)


def _step(state: State, step: str, ends_in_s: float | None, now_s: float) -> State:
    state = _what(state, "", now_s)._replace(step=step, step_since_s=now_s)
    return _until(state, ends_in_s, now_s)


def _what(state: State, what: str, now_s: float) -> State:
    return state._replace(
        what=what, what_since_s=now_s, what_takes_s=None, opening=None, looked=None
    )


def _until(state: State, ends_in_s: float | None, now_s: float) -> State:
    return state if ends_in_s is None else state._replace(ends_at_s=now_s + ends_in_s)


def _opening(state: State, event: Opening, now_s: float) -> State:
    if event.opened == event.of:  # what the sessions were opened for begins only now
        return state._replace(opening=None, what_since_s=now_s)
    since_s = state.opening_since_s if state.opening is not None else now_s
    return state._replace(opening=event, opening_since_s=since_s)


def _predicted(state: State, event: Predicted, now_s: float) -> State:
    best = zip(event.configs, event.predicted_ms, strict=True)
    predicted = dict(zip(event.loads_rps, best, strict=True))
    state = _what(state, "", now_s)._replace(predicted=predicted)
    return _until(state, event.ends_in_s, now_s)


def _tried(state: State, event: Tried, now_s: float) -> State:
    state = _what(state, "", now_s)._replace(
        measured=state.measured + 1,
        seen={**state.seen, (event.load_rps, event.config): event},
        standings=event.standings or state.standings,
    )
    return _until(state, event.ends_in_s, now_s)
