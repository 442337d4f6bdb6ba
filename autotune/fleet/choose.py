"""Of several answers for one machine type, the one to trust."""

from collections.abc import Sequence

from autotune.config_file import TunedFile

MOST_DISTURBED = 0.5
"""Share of disturbed measurements up to which an answer stands: a search repeats single ones."""


def disturbed_share(tuned: TunedFile) -> float:
    """Return the share of the measurements in which something else took of the machine."""
    measured = [one.measured for one in tuned.trials if one.measured is not None]
    return sum(bool(one.disturbed) for one in measured) / max(1, len(measured))


def disturbance(tuned: TunedFile) -> str | None:
    """Return what spoilt most of the measurements, with an example; None: nothing did."""
    share = disturbed_share(tuned)
    if share <= MOST_DISTURBED:
        return None
    clauses = (one.measured.disturbed for one in tuned.trials if one.measured is not None)
    example = next(filter(None, clauses))[0]
    return f"{100 * share:.0f} % of the measurements, such as: {example}"


def better(answers: Sequence[TunedFile]) -> TunedFile | None:
    """Return the least disturbed; of equals, the first. None: there is none."""
    return min(answers, key=disturbed_share, default=None)
