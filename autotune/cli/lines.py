"""Events as lines of text: for pipes and CI logs, and for the log of the live screen."""

import time
from collections.abc import Callable

from autotune.cli.foreign import clean
from autotune.cli.live_state import activity, begin, take
from autotune.records import Summary
from autotune.stages.events import (
    Doing,
    Event,
    Inspected,
    Loading,
    Looked,
    Predicted,
    Profiled,
    Said,
    Started,
    Tried,
)
from autotune.trial.wire import Opening
from autotune.units import format_cores, format_ms, format_rps

LOOK_LINE_S = 2.0
"""A run shorter than this needs no line on its way."""
TRIAL_SHARE = 0.005
"""Of all the time there is: a trial that ends sooner after the last told one, and changes nothing,
is passed over, so that a search of hours does not fill a log."""
SILENCE_S = 10.0
"""After which a step that takes long is said to go on, and on,"""
MORE_SILENCE = 1.5
"""each time after so many times as long,"""
LONGEST_SILENCE_S = 60.0
"""but never longer: some CI systems take silence for a hang."""


class Lines:
    """Writes events as lines, whole and at once. `tick` may be called from another thread."""

    def __init__(self, write: Callable[[str], None], verbosity: int = 0) -> None:
        """Write with `write`; -1: warnings only; 0: results; 1: looks and starts, too."""
        self._write, self._verbosity = write, verbosity
        self._state = begin(time.monotonic())
        self._thinned = Thinned() if verbosity < 1 else None
        self._written_s, self._silence_s = time.monotonic(), SILENCE_S

    def observe(self, event: Event) -> None:
        """Write the event, if it is of interest."""
        self._state = take(self._state, event, time.monotonic())
        wanted = self._thinned is None or self._thinned.wants(event)
        if self._verbosity < 0:
            wanted = isinstance(event, Said) and event.warning
        if wanted and (text := line(event)):
            self._silence_s = SILENCE_S
            if isinstance(event, Tried):
                text += f"; {event.ends_in_s:.0f} s left"
            self._say(text)

    def tick(self) -> None:
        """Say that what takes long goes on."""
        now_s = time.monotonic()
        if self._verbosity < 0 or now_s - self._written_s < self._silence_s:
            return
        self._silence_s = min(LONGEST_SILENCE_S, MORE_SILENCE * self._silence_s)
        what, since_s = activity(self._state)
        self._say(f"still {what}: {now_s - since_s:.0f} s")

    def close(self) -> None:
        """Nothing is left to be done."""

    def _say(self, text: str) -> None:
        self._written_s = time.monotonic()
        self._write(clean(text))


class Thinned:
    """Chooses the events worth a line: of looks, those that double a run; no mere starts."""

    def __init__(self) -> None:
        """Begin a run."""
        self._next_look_s = LOOK_LINE_S
        self._first_left_s = self._last_left_s = 0.0

    def wants(self, event: Event) -> bool:
        """Whether to write this one."""
        match event:
            case Doing():
                self._next_look_s = LOOK_LINE_S
                return False
            case Opening():
                return False
            case Looked():
                if event.elapsed_s < self._next_look_s and event.decision == "go_on":
                    return False
                self._next_look_s = 2 * event.elapsed_s
            case Predicted():
                self._first_left_s = self._last_left_s = event.ends_in_s
            case Tried():
                passed_s = self._last_left_s - event.ends_in_s
                dull = isinstance(event.result, Summary) and event.best != event.config
                if dull and 0 <= passed_s < TRIAL_SHARE * self._first_left_s:
                    return False
                self._last_left_s = event.ends_in_s
        return True


def line(event: Event) -> str:
    """Return the event as one line of text; empty where there is nothing to say."""
    match event:
        case Opening():
            left = event.opened < event.of
            return f"opening session {event.opened + 1} of {event.of} ..." if left else ""
        case Loading() | Started():
            return f"{event.step} ..."
        case Doing():
            return f"{event.what} ..."
        case Inspected():
            return _inspected(event)
        case Profiled():
            return f"profile: {event.label}: {format_ms(event.median_ms)} ms"
        case Predicted():
            return _predicted(event)
        case Tried():
            return _tried(event)
        case Looked():
            return _looked(event)
        case Said():
            return event.text
    return ""


def _inspected(event: Inspected) -> str:
    info = event.info
    batch = "can be batched" if info.batchable else "no batching"
    check = "outputs are checked" if info.outputs_checked else "outputs cannot be checked"
    return (
        f"model: loads in {info.load_s:.2f} s, {batch}: {info.batch_reason}; "
        f"{check}: {info.outputs_reason}; {format_cores(event.cores)}"
    )


def _looked(event: Looked) -> str:
    end = "" if event.decision == "go_on" else f": {event.decision}"
    return (
        f"{event.elapsed_s:.1f} s: {event.requests:,} requests served, {event.over:,} over the "
        f"SLO{end}"
    )


def _predicted(event: Predicted) -> str:
    answers = "; ".join(
        f"{format_rps(load_rps)}/s: {config.describe()} ~{format_ms(predicted_ms)} ms"
        for load_rps, config, predicted_ms in zip(
            event.loads_rps, event.configs, event.predicted_ms, strict=True
        )
    )
    return f"first answer, predicted over {event.points} configurations: {answers}"


def _tried(event: Tried) -> str:
    expected = ""
    if event.predicted_ms is not None:
        word = "promised" if event.phase == "check" else "predicted"
        expected = f" ({word} {format_ms(event.predicted_ms)})"
    of = f", round {event.round_number} of {event.rounds}" if event.phase == "confirm" else ""
    return (
        f"{event.phase} {format_rps(event.load_rps)}/s: {event.config.describe()}: "
        f"{_result(event)}{expected}{of}"
    )


def _result(event: Tried) -> str:
    if not isinstance(event.result, Summary):
        return f"failed: {event.result.kind}: {event.result.detail}"
    if event.result.diverged:
        return "overload, given up"
    if event.result.objective.value_ms is None:
        return "too many requests lost"
    return f"{format_ms(event.result.objective.value_ms)} ms"
