"""An account of what was copied to and from a device, and how much of that computing hid."""

from collections.abc import Callable
from typing import NamedTuple

from autotune.engine.device import Event
from autotune.records import Transfer


class Marks(NamedTuple):
    """When each stage of a batch began and ended."""

    in_began: Event
    in_ended: Event
    compute_began: Event
    compute_ended: Event
    out_began: Event
    out_ended: Event


class _Times(NamedTuple):
    """The same in seconds of one clock."""

    copy_in: tuple[float, float]
    compute: tuple[float, float]
    copy_out: tuple[float, float]


class _Sums(NamedTuple):
    batches: int = 0
    in_s: float = 0.0
    out_s: float = 0.0
    compute_s: float = 0.0
    hidden_s: float = 0.0


class Account:
    """Keeps the sums of one replica; batches are added in order, by one thread at a time."""

    def __init__(self, seconds_between: Callable[[Event, Event], float]) -> None:
        """Begin with nothing; events are told apart by the device's own clock."""
        self._between = seconds_between
        self._origin: Event | None = None
        self._origin_s = 0.0
        self._recent: list[_Times] = []
        self._sums = _Sums()

    def add(self, marks: Marks) -> None:
        """Add a batch that is over.

        Its copies can be hidden by the batch before and the one behind: with two buffers there
        are never more in flight. So the sums are complete up to the batch before.
        """
        if self._origin is not None:
            # From batch to batch: a device's clock may be a float of milliseconds, good nearby.
            self._origin_s += self._between(self._origin, marks.in_began)
        self._origin = marks.in_began
        moments_s = [self._origin_s + self._between(self._origin, mark) for mark in marks]
        self._recent.append(_Times(*zip(moments_s[::2], moments_s[1::2], strict=True)))
        if len(self._recent) > 1:
            self._sums = _with(self._sums, self._recent[-2], self._recent)
        self._recent = self._recent[-2:]

    def read(self) -> Transfer:
        """Return the sums so far, once the last batch is over."""
        recent = self._recent
        sums = _with(self._sums, recent[-1], recent) if recent else self._sums
        return Transfer(
            batches=sums.batches,
            in_s=sums.in_s,
            out_s=sums.out_s,
            compute_s=sums.compute_s,
            hidden_share=_share(sums.hidden_s, sums.in_s + sums.out_s),
        )


def _with(sums: _Sums, batch: _Times, computing: list[_Times]) -> _Sums:
    spans = [other.compute for other in computing]
    hidden_s = sum(_common_s(c, span) for c in (batch.copy_in, batch.copy_out) for span in spans)
    return _Sums(
        batches=sums.batches + 1,
        in_s=sums.in_s + _length_s(batch.copy_in),
        out_s=sums.out_s + _length_s(batch.copy_out),
        compute_s=sums.compute_s + _length_s(batch.compute),
        hidden_s=sums.hidden_s + hidden_s,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _length_s(span: tuple[float, float]) -> float:
    return span[1] - span[0]


def _common_s(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
