"""A comparison in words: what changed most, what else did, and what to know before believing it."""

from collections.abc import Sequence
from itertools import chain

from autotune.comparison.loads import DRIFT
from autotune.comparison.premises import same_machine, work_of
from autotune.comparison.records import Comparison, Difference, LoadCompared, Quantity
from autotune.config_file import TunedFile
from autotune.units import format_percent, format_rps

_WORDS: dict[Quantity, str] = {
    "p99_ms": "a p99",
    "p95_ms": "a p95",
    "p50_ms": "a p50",
    "objective_ms": "the SLO's percentile",
    "cpu_ms_per_request": "a CPU time per request",
}
_FIRST: tuple[Quantity, ...] = (
    "diverged",
    "objective_ms",
    "p99_ms",
    "slo_attainment",
    "p95_ms",
    "p50_ms",
    "cpu_ms_per_request",
)
"""What is told first where several differ."""


def summarize_comparison(found: Comparison) -> str:
    """Return one to three sentences for a person who reads nothing else."""
    differing = [
        (load, one) for load in found.loads for one in load.differences if one.verdict == "differs"
    ]
    differing.sort(key=lambda pair: (_FIRST.index(pair[1].quantity), -pair[0].load_rps))
    sentences = [_first(found, differing)]
    if not found.same_system and found.execution and found.execution.verdict == "differs":
        sentences.append(
            f"One execution takes {_times(found.execution)} the CPU time on one thread."
        )
    if found.machine_moved:
        sentences.append(_moved(found))
    return " ".join(sentences)


def notes_on(
    a: TunedFile, b: TunedFile, loads: Sequence[LoadCompared], moved: bool | None
) -> list[str]:
    """Return what a person should know before believing the numbers."""
    every = list(chain.from_iterable([*one.differences, *one.default] for one in loads))
    notes = []
    if (a.search.started_at, a.trials) == (b.search.started_at, b.trials):
        notes.append("a and b hold one and the same search")
    if not every:
        asked = ",".join(f"{entry.load_rps:g}" for entry in a.policy)
        notes.append(
            f"no load was measured in both files: search again with --loads {asked} for b to "
            "compare latencies"
        )
    elif moved is None:
        notes.append(
            "nothing in the files tells a slow hour of a machine from what else differs, so what "
            f"differs by up to {100 * DRIFT:g} % counts as noise"
        )
    if a.slo.latency_ms != b.slo.latency_ms:
        notes.append("the SLOs differ, so shares of requests within the SLO are not compared")
    if work_of(a) != work_of(b):
        notes.append(
            "requests hold other data; where speed depends on them, that may be what differs"
        )
    if "trace" in a.arrivals:
        notes.append("both replay a trace; whether it is the same one the files do not say")
    reasons = [one.reason for one in every if one.verdict == "unknown"]
    if reasons:
        disturbed = any("was disturbed" in reason for reason in reasons)
        remedy = (
            "search again on a quieter machine: `autotune doctor` says what disturbs it"
            if disturbed
            else "more requests tell more: search with a longer --budget"
        )
        notes.append(f"{len(reasons)} of {len(every)} comparisons cannot be told; {remedy}")
    if not same_machine(a, b) and a.machine.cpu == b.machine.cpu:
        notes.append("the processors bear one name, but are not used alike: see what differs")
    return notes


def _first(found: Comparison, differing: Sequence[tuple[LoadCompared, Difference]]) -> str:
    where = _where(found)
    compared = [one for load in found.loads for one in (*load.differences, *load.default)]
    if not differing:
        if not compared:
            return f"{where}no load was measured in both files; only their answers can be compared."
        told = any(one.verdict != "unknown" for one in compared)
        what = "nothing differs by more than noise" if told else "no difference can be told"
        return f"{where}{what}{_other_configs(found)}."
    load, one = differing[0]
    match len(differing) - 1:
        case 0:
            rest = "nothing else differs by more than noise"
        case 1:
            rest = "one more difference is more than noise"
        case others:
            rest = f"{others} more differences are more than noise"
    return f"{where}{_claim(load, one)}; {rest}."


def _where(found: Comparison) -> str:
    """What the files do not share, as an opening."""
    if found.same_system:
        return "On the same machine, "
    kinds = {
        "model": "models",
        "CPU": "machines",
        "architecture": "machines",
        "usable cores": "machines",
        "CPU quota": "machines",
        "runtime": "runtimes",
    }
    names = {kinds[one.what]: None for one in found.premises if one.what in kinds}
    return f"Between two {' and '.join(names)}, "


def _claim(load: LoadCompared, one: Difference) -> str:
    at = f"{format_rps(load.load_rps)}/s"
    if one.quantity == "diverged":
        bad, good = ("b", "a") if one.b else ("a", "b")
        return f"{bad} is overloaded by {at}, which {good} serves"
    if one.quantity == "slo_attainment":
        shares = [format_percent(share or 0.0) for share in (one.b, one.a)]
        return f"b answers {shares[0]} % of {at} within the SLO, a {shares[1]} %"
    over = ", each over the default in its own run" * (one.basis == "over_default")
    return f"b answers {at} with {_WORDS[one.quantity]} {_times(one)} of a's{over}"


def _times(one: Difference) -> str:
    ends = ["?" if end is None else f"{end:.2f}" for end in (one.low, one.high)]
    return f"x{one.change or 0:.2f} [{'-'.join(ends)}]"


def _other_configs(found: Comparison) -> str:
    both = [(one.a.config, one.b.config) for one in found.loads if one.a and one.b]
    others = sum(mine != theirs for mine, theirs in both)
    if not others:
        return ""
    return f", though other configurations were chosen at {others} of {len(both)} loads"


def _moved(found: Comparison) -> str:
    every = [(load, one) for load in found.loads for one in load.default]
    shown = next(((load, one) for load, one in every if one.verdict == "differs"), None)
    if shown is None:
        return "The machine itself moved: one execution takes other CPU time."
    load, one = shown
    name = _WORDS.get(one.quantity, "").removeprefix("a ") or one.quantity
    change = "" if one.quantity in ("diverged", "slo_attainment") else f" is {_times(one)}"
    return (
        f"The machine itself moved: at {format_rps(load.load_rps)}/s the default's {name}{change}."
    )
