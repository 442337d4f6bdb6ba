"""An engine that follows the load: which configuration is wanted, and the way there.

A thread of the engine reads how many requests came, ten times a second, estimates the load and
compares it with the policy. It opens sessions itself, beside those that serve, and then lets them
take over; no request waits for it.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from autotune.engine.group import Prepared
from autotune.engine.groups import Groups
from autotune.engine.live_source import Limits, LiveSource
from autotune.engine.load_estimate import LoadEstimate
from autotune.spec import Record, ServingConfig, SessionShape

LOG = logging.getLogger("autotune.engine")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two tries to open sessions, which cost CPU time; each is twice as long as the last."""
KEPT_SWITCHES = 1000


class Level(NamedTuple):
    """Up to `load_rps` requests/s, serve so."""

    load_rps: float
    config: ServingConfig


class Rule(NamedTuple):
    """When to switch.

    Up at once, for a queue that grows costs every request; down late, for a configuration for more
    load costs CPU time at most. Down is as Kubernetes' autoscaler does it (its stabilization
    window): to what the highest estimate of a while needs.
    """

    tick_s: float = 0.1
    """Between two looks; each takes 0.15 ms of CPU time beside the wake-up, on a slow virtual
    machine."""
    window_s: float = 1.0
    """Of the estimate. After a step it has gone 63 % of the way in that time; at 100 requests/s
    its standard error is 7 %."""
    sureness: float = 2.0
    """Up where the estimate is above the level by so many standard errors: by chance, that is in
    2 % of looks when the load is what the level is for, and hardly ever at eight tenths of it."""
    lower_after_s: float = 10.0
    """Down to what the highest estimate of that time needs, once all of it but the first three
    windows agrees; a spike is followed by another."""
    margin: float = 0.1
    """That estimate counts as so much higher, lest noise at the border of two levels switches."""
    kept: int = 2
    """Shapes of sessions that are held in memory: the one that serves, and those used last."""


class Following(NamedTuple):
    """What an engine needs to follow the load."""

    levels: Sequence[Level]
    """By load, ascending. Above the highest, the highest serves."""
    start: int
    """Position of the level that serves first."""
    prepare: Callable[[SessionShape], Prepared]
    """Opens replicas that answer as fast as they ever will. Is called by the engine's thread."""
    rule: Rule = Rule()


class Switch(Record, frozen=True):
    """One time that an engine changed its configuration."""

    at_s: float
    """When requests went to the new one, in seconds since 1970."""
    before: ServingConfig
    after: ServingConfig
    reason: Literal["load rose", "load fell"]
    load_rps: float
    """Requests/s as estimated then."""
    prepare_s: float
    """Wall time of opening sessions, while the old ones served; 0: they stood by, or only
    batching changed."""


def level_for(levels: Sequence[Level], load_rps: float) -> int:
    """Return the position of the lowest level that reaches a load, or of the highest."""
    reaching = (place for place, level in enumerate(levels) if load_rps <= level.load_rps)
    return next(reaching, len(levels) - 1)


class Chooser:
    """The rule, applied to one estimate after the other. Knows no clock."""

    def __init__(self, levels: Sequence[Level], rule: Rule) -> None:
        """Begin without a past."""
        self._levels, self._rule = levels, rule
        self._past: deque[tuple[float, float]] = deque()

    def choose(self, level: int, estimate: LoadEstimate, now_s: float) -> int:
        """Return the level that is wanted where `level` serves.

        Args:
            level: its position.
            estimate: of the load now.
            now_s: of any clock that does not run backwards.
        """
        past, since_s = self._past, now_s - self._rule.lower_after_s
        past.append((now_s, estimate.rps))
        # One from before the time stays: it tells that all of it was seen.
        while len(past) > 1 and past[1][0] <= since_s:
            past.popleft()
        surely_rps = estimate.rps - self._rule.sureness * estimate.error_rps
        if level_for(self._levels, surely_rps) > level:
            return level_for(self._levels, estimate.rps)
        if past[0][0] > since_s or self._lower([past[-1]]) >= level:
            return level
        lower = self._lower(past)
        # After a step the estimate falls for a while, past levels that nobody needs.
        settled_s = since_s + 3 * self._rule.window_s
        settled = self._lower([one for one in past if one[0] > settled_s])
        return lower if settled == lower < level else level

    def _lower(self, past: Iterable[tuple[float, float]]) -> int:
        highest_rps = max((rps for _, rps in past), default=0.0)
        return level_for(self._levels, highest_rps * (1 + self._rule.margin))


class _Pause(NamedTuple):
    until_s: float
    next_s: float


class Follower:
    """Watches the load of an engine and switches its groups, in a thread of its own."""

    def __init__(
        self,
        source: LiveSource,
        groups: Groups,
        following: Following,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Begin with the level that serves; `start` lets it watch."""
        self._source, self._groups, self._following = source, groups, following
        self._clock = clock
        self._estimate = LoadEstimate(following.rule.window_s)
        self._chooser = Chooser(following.levels, following.rule)
        self._seen, self._seen_s = source.offered(), clock()
        self._pauses: dict[SessionShape, _Pause] = {}
        self._prepared_s: dict[SessionShape, float] = {}
        self._switches: deque[Switch] = deque(maxlen=KEPT_SWITCHES)
        self.level = following.start
        """Position of the level that serves."""
        self.thread = threading.Thread(target=self._watch, name="follow-load", daemon=True)

    def switches(self) -> list[Switch]:
        """Return the last switches, in order."""
        return list(self._switches)

    def step(self) -> bool:
        """Look once, and do what follows; return whether to look again without a pause."""
        self._groups.tidy()
        now_s, seen = self._clock(), self._source.offered()
        self._estimate = self._estimate.after(seen - self._seen, now_s - self._seen_s)
        self._seen, self._seen_s = seen, now_s
        wanted = self._chooser.choose(self.level, self._estimate, now_s)
        shape = self._following.levels[wanted].config.session_shape
        if wanted == self.level:
            self._groups.drop_surplus(self._following.rule.kept)
            return False
        pause = self._pauses.get(shape, _Pause(-math.inf, FIRST_PAUSE_S))
        if now_s < pause.until_s:
            return False
        try:
            if self._groups.is_ready(shape):
                self._hand_over(wanted)
                return False
            return self._prepare(shape)
        # Also what would end a thread: of a model that is loaded, everything must be expected.
        except BaseException as error:
            LOG.error(
                "cannot switch to %s, again in %g s: %s",
                self._following.levels[wanted].config.describe(),
                pause.next_s,
                str(error) or type(error).__name__,
            )
            longer_s = min(2 * pause.next_s, LONGEST_PAUSE_S)
            self._pauses[shape] = _Pause(self._clock() + pause.next_s, longer_s)
            return False

    def _watch(self) -> None:
        again = False
        while not self._source.wait_closed(0.0 if again else self._following.rule.tick_s):
            again = self.step()

    def _prepare(self, shape: SessionShape) -> bool:
        """Open sessions. Meanwhile the load may change, so what follows is decided anew."""
        if not self._groups.make_room(self._following.rule.kept):
            return False
        began_s = self._clock()
        self._groups.stand_by(shape, lambda: self._following.prepare(shape))
        self._prepared_s[shape] = self._clock() - began_s
        return True

    def _hand_over(self, wanted: int) -> None:
        before, after = (self._following.levels[place].config for place in (self.level, wanted))
        limits = Limits(after.max_batch_size, after.batch_timeout_ms / 1000)
        if not self._groups.hand_over(after.session_shape, limits):
            return
        self._pauses.pop(after.session_shape, None)
        switch = Switch(
            at_s=time.time(),
            before=before,
            after=after,
            reason="load rose" if wanted > self.level else "load fell",
            load_rps=self._estimate.rps,
            prepare_s=self._prepared_s.pop(after.session_shape, 0.0),
        )
        self.level = wanted
        self._switches.append(switch)
        LOG.info(
            "%s to %.3g requests/s: %s instead of %s, prepared in %.3g s",
            *(switch.reason, switch.load_rps, after.describe(), before.describe()),
            switch.prepare_s,
        )
