"""How requests arrive: independently, by the clock, in bursts, with gaps, or as recorded."""

import math
import re

from autotune.errors import UsageError, did_you_mean
from autotune.outcome import Samples
from autotune.spec import Record
from autotune.units import format_rps, parse_duration_s

BURST_S = 0.5
"""Mean length of a burst: long enough for a queue to build, short enough to recur in a run."""
MAX_BURST_FACTOR = 100.0
MAX_GAP_S = 60.0


class Poisson(Record, frozen=True):
    """Independent users: exponential gaps between requests."""

    def describe(self) -> str:
        """The pattern in words."""
        return "poisson"

    def option(self) -> str:
        """The pattern as `parse_arrivals` reads it."""
        return "poisson"


class Constant(Record, frozen=True):
    """A clock: requests evenly spaced, the first at a random phase."""

    def describe(self) -> str:
        """The pattern in words."""
        return "constant"

    def option(self) -> str:
        """The pattern as `parse_arrivals` reads it."""
        return "constant"


class Bursty(Record, frozen=True):
    """Bursts of `factor` times the mean load that carry half of all requests.

    A two-phase Markov-modulated Poisson process (MMPP): bursts and quiet spells of exponential
    length take turns, bursts of `BURST_S` on average.
    """

    factor: float
    """Above 1, where it would be Poisson."""

    @property
    def burst_share(self) -> float:
        """Share of the time that is burst."""
        return 1 / (2 * self.factor)

    @property
    def quiet_factor(self) -> float:
        """Requests/s between bursts, over the mean load."""
        return 0.5 / (1 - self.burst_share)

    @property
    def switching_per_s(self) -> tuple[float, float]:
        """How often a burst ends, and how often a quiet spell does."""
        return 1 / BURST_S, self.burst_share / (1 - self.burst_share) / BURST_S

    def dispersion(self, load_rps: float, window_s: float = math.inf) -> float:
        """Return the variance of the arrivals in a window over their mean (IDC); Poisson has 1.

        With rates l1, l2 and switching rates s1 (out of 1) and s2, s = s1 + s2, it is
        1 + A (1 - (1 - exp(-s t)) / (s t)), where A = 2 s1 s2 (l1 - l2)^2 /
        (s^2 (l1 s2 + l2 s1)) is what an endless window adds (Heffes and Lucantoni 1986; Fischer
        and Meier-Hellstern 1993, "The Markov-modulated Poisson process cookbook").
        """
        burst_rps, quiet_rps = self.factor * load_rps, self.quiet_factor * load_rps
        ends, begins = self.switching_per_s
        both = ends + begins
        flow = burst_rps * begins + quiet_rps * ends
        limit = 2 * ends * begins * (burst_rps - quiet_rps) ** 2 / (both**2 * flow)
        seen = 1 + math.expm1(-both * window_s) / (both * window_s)
        return 1 + limit * seen

    def describe(self) -> str:
        """The pattern in words."""
        return f"bursty x{self.factor:g}"

    def option(self) -> str:
        """The pattern as `parse_arrivals` reads it."""
        return f"bursty:{self.factor!r}"


class Gaps(Record, frozen=True):
    """Poisson spells as long as the silence that follows each: clocks and threads fall asleep."""

    gap_s: float

    def describe(self) -> str:
        """The pattern in words."""
        return f"poisson with {self.gap_s:g} s gaps"

    def option(self) -> str:
        """The pattern as `parse_arrivals` reads it."""
        return f"gaps:{self.gap_s!r}s"


class Trace(Record, frozen=True, eq=False):
    """Windows of recorded arrivals."""

    times_s: Samples
    """Seconds since the first arrival, ascending, at least two different ones."""
    scaled: bool = False
    """Whether time was stretched or squeezed to reach a load."""
    file: str | None = None
    """Where it was read; None: nowhere."""

    def describe(self) -> str:
        """The pattern in words."""
        return "trace scaled to the load" if self.scaled else "trace"


Pattern = Poisson | Constant | Bursty | Gaps | Trace


def explain(pattern: Pattern, load_rps: float) -> str | None:
    """Say what a person should know of the pattern before reading its numbers, if anything."""
    match pattern:
        case Bursty(factor=factor):
            return (
                f"bursts of {factor:g} x the load, {BURST_S:g} s long: at {format_rps(load_rps)}/s "
                f"the variance of arrivals per second is {pattern.dispersion(load_rps, 1.0):.3g} "
                "times their mean; Poisson has 1"
            )
        case Gaps(gap_s=gap_s):
            return (
                f"Poisson spells of {gap_s:g} s, each followed by {gap_s:g} s of silence: "
                "a load is the requests/s within a spell"
            )
    return None


def parse_arrivals(text: str, option: str) -> Pattern:
    """Return the pattern of a text such as `poisson`, `constant`, `bursty:4` or `gaps:2s`.

    Raises:
        UsageError: another word, or its value is missing, not needed or out of range.
    """
    kind, colon, value = text.strip().partition(":")
    match kind.lower():
        case "poisson" if not colon:
            return Poisson()
        case "constant" if not colon:
            return Constant()
        case "bursty":
            return Bursty(factor=_parse_factor(value, f"{option} {text!r}"))
        case "gaps":
            gap_s = parse_duration_s(value, f"{option} gaps:") if value else math.nan
            if not gap_s <= MAX_GAP_S:
                raise UsageError(
                    f"{option} {text!r}: say how long a gap is, up to {MAX_GAP_S:g} s: "
                    "write it like gaps:2s"
                )
            return Gaps(gap_s=gap_s)
    hint = did_you_mean(kind, ("poisson", "constant", "bursty:4", "gaps:2s"))
    raise UsageError(
        f"{option} {text!r} is none of poisson, constant, bursty:FACTOR (like bursty:4) and "
        f"gaps:DURATION (like gaps:2s){hint}"
    )


def parse_description(text: str) -> Pattern | None:
    """Return the pattern that `describe` put into words; None where words do not say it all."""
    if text in ("poisson", "constant"):
        return Poisson() if text == "poisson" else Constant()
    if match := re.fullmatch(r"bursty x([0-9.e+]+)", text):
        return Bursty(factor=_parse_factor(match[1], text))
    if match := re.fullmatch(r"poisson with ([0-9.e+-]+) s gaps", text):
        return Gaps(gap_s=float(match[1]))
    return None


def _parse_factor(text: str, where: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 < factor <= MAX_BURST_FACTOR:
        raise UsageError(
            f"{where}: say how many times the load a burst is, above 1 and up to "
            f"{MAX_BURST_FACTOR:g}: write it like bursty:4"
        )
    return factor
