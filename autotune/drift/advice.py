"""What a changed or unchanged record means, and the command to run next."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from autotune.command_line import measure_command, quoted
from autotune.config_file import TunedFile
from autotune.drift.records import Change, ChangeKind, DriftAnswer, LevelSeen
from autotune.patterns import Gaps, Pattern, Trace, parse_description
from autotune.units import format_rps

SPARSE = 2.0
"""A load so many times the next lower one has a gap below it in which nothing was measured."""
FEW = 0.05
"""Share of the requests, up to which a load was touched by chance."""
HEADROOM = 1.2
"""The load to search for, over the highest that was seen."""
_GRAVE: tuple[ChangeKind, ...] = (
    *("slo_missed", "slower", "above_the_table"),
    *("burstier", "faster"),
)


def reasons(
    answer: DriftAnswer, changes: Sequence[Change], levels: Sequence[LevelSeen]
) -> list[str]:
    """Return why the answer is what it is, the gravest first."""
    if changes:
        ordered = sorted(changes, key=lambda one: _GRAVE.index(one.kind))
        return [*_slower_everywhere(changes, levels), *(one.text for one in ordered)]
    seen = [format_rps(one.load_rps) for one in levels if one.answer == "fits"]
    if answer == "fits":
        return [f"what was seen at {_listed(seen)}/s is as promised"]
    unmeasured = [one for one in levels if one.answer == "never_measured"]
    if unmeasured and not any(one.requests for one in levels if one not in unmeasured):
        return ["the file only predicts what was seen: nothing was measured at that load"]
    return ["latencies clearly longer than promised could not be proven from so few requests"]


def _slower_everywhere(changes: Sequence[Change], levels: Sequence[LevelSeen]) -> Iterator[str]:
    """What several loads have in common: then it is not about one of them."""
    slower = [one for one in changes if one.kind == "slower"]
    if not everywhere(changes, levels):
        return
    known = [one for one in slower if one.low is not None and one.high is not None]
    least = max((one.low or 0.0 for one in known), default=0.0)
    most = min((one.high or 0.0 for one in known), default=0.0)
    alike = len(known) == len(slower) and least <= most
    how = "by about the same factor" if alike else "each by a factor of its own"
    yield (
        f"every load that was seen is slower, {how}: the machine or the model is not what it was"
    )


def everywhere(changes: Sequence[Change], levels: Sequence[LevelSeen]) -> bool:
    """Whether several loads became slower, and none that was seen did not."""
    slower = {one.load_rps for one in changes if one.kind in ("slower", "slo_missed")}
    others = [one for one in levels if one.answer in ("fits", "faster")]
    return len(slower) > 1 and not others


def next_steps(
    tuned: TunedFile,
    file: str,
    source: str,
    changes: Sequence[Change],
    levels: Sequence[LevelSeen],
) -> list[str]:
    """Return what to run next, the first thing first."""
    kinds = {one.kind for one in changes}
    steps = []
    if "burstier" in kinds:
        steps.append(
            f"search again with the arrivals as they come now: `{_search(tuned, 'trace', source)}`"
        )
    if "above_the_table" in kinds:
        steps.append(f"search again with loads as they are now: `{_for_loads(tuned, changes)}`")
    check = f"autotune check {quoted(file)} {quoted(tuned.model.name)}"
    if everywhere(changes, levels):
        steps.append(f"see whether machine and model still keep the file: `{check}`")
    else:
        worse = [one for one in changes if one.kind in ("slower", "slo_missed")]
        for load_rps in dict.fromkeys(one.load_rps for one in worse if one.load_rps is not None):
            at = format_rps(load_rps)
            steps.append(f"measure the entry for {at}/s again: `{check} --load {load_rps:g}`")
    if "faster" in kinds:
        loads = ",".join(f"{one.load_rps:g}" for one in tuned.policy)
        again = _search(tuned, "loads", loads)
        steps.append(f"search again, for less may do now, or more be served: `{again}`")
    if not changes:
        steps += list(_for_more(tuned, levels))
    return steps


def _for_more(tuned: TunedFile, levels: Sequence[LevelSeen]) -> Iterator[str]:
    for one in levels:
        if one.answer == "never_measured":
            command = measure_command(tuned, one.config, one.load_rps)
            if command is not None:
                yield f"measure what the file only predicts: `{command}`"
    if not any(one.answer == "fits" for one in levels):
        yield "watch for longer: a longer record tells more"


def notes(tuned: TunedFile, levels: Sequence[LevelSeen], pattern: Pattern | None) -> list[str]:
    """Return what a reader should know of the answer."""
    found = []
    if tuned.target is not None:
        text = f"the file was measured through {tuned.target.describe()}, from request to answer"
        found.append(f"{text}: hold what that server logs against it")
    if pattern is None:
        found.append(
            "how arrivals came in the trace of the search is not in the file: not compared"
        )
    if isinstance(pattern, Gaps):
        found.append("whether arrivals come in bursts is not compared where the file has gaps")
    least = FEW * sum(one.requests for one in levels)
    few = [
        format_rps(one.load_rps)
        for one in levels
        if one.answer == "too_little" and one.requests > least
    ]
    if few and any(one.answer != "too_little" for one in levels):
        found.append(f"too few requests to tell at {_listed(few)}/s")
    loads = [entry.load_rps for entry in tuned.policy]
    for (below, above), level in zip(pairwise(loads), levels[1:], strict=True):
        if level.requests and above > SPARSE * below:
            command = _search(tuned, "loads", ",".join(f"{one:g}" for one in _filled(loads)))
            found.append(
                f"nothing was measured between {format_rps(below)}/s and {format_rps(above)}/s; "
                f"closer loads tell more: `{command}`"
            )
            break
    return found


def _filled(loads: Sequence[float]) -> list[float]:
    """The loads with the geometric mean, in two digits, in each wide gap."""
    between = [
        float(f"{(below * above) ** 0.5:.2g}")
        for below, above in pairwise(loads)
        if above > SPARSE * below
    ]
    return sorted({*loads, *between})


def _for_loads(tuned: TunedFile, changes: Sequence[Change]) -> str:
    top_rps = tuned.policy[-1].load_rps
    factor = max(one.factor or 1.0 for one in changes if one.kind == "above_the_table")
    highest_rps = float(f"{HEADROOM * factor * top_rps:.2g}")
    loads = [*(one.load_rps for one in tuned.policy), highest_rps]
    return _search(tuned, "loads", ",".join(f"{one:g}" for one in loads))


def _search(tuned: TunedFile, option: str, value: str) -> str:
    """The command that makes the search again with another option."""
    words = tuned.repeat
    if words is None:
        words = [tuned.model.name, "--slo", f"{tuned.slo.latency_ms:.15g}ms"]
        words += ["--percentile", f"{tuned.slo.percentile:.15g}"]
        pattern = parse_description(tuned.arrivals)
        words += (
            []
            if pattern is None or isinstance(pattern, Trace)
            else ["--arrivals", pattern.option()]
        )
    left_out = ("--arrivals", "--trace") if option == "trace" else ()
    kept: list[str] = []
    for place, word in enumerate(words):
        if word not in left_out and not (place and words[place - 1] in left_out):
            kept.append(word)
    return " ".join(map(quoted, ["autotune", "search", *kept, f"--{option}", value]))


def _listed(texts: Sequence[str]) -> str:
    """`30`, `30 and 110`, `30, 110 and 160`."""
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last
