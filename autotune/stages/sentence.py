"""The answer in words: what to deploy, what it gains, what binds where nothing helps."""

from collections.abc import Sequence
from itertools import pairwise, takewhile

from autotune.config_file import PolicyEntry
from autotune.spec import Slo
from autotune.units import format_ms, format_rps


def summarize_policy(entries: Sequence[PolicyEntry], slo: Slo) -> str:
    """Return one or two sentences for a person who reads nothing else."""
    meeting = meeting_from_below(entries)
    if not meeting:
        return _missed(entries[0], slo)
    top = meeting[-1]
    sentences = [
        f"Deploy {_named(top)} for up to {format_rps(top.load_rps)} requests/s: {_gain(top)}."
    ]
    sentences += [
        f"Up to {format_rps(entry.load_rps)} requests/s {_lower(entry)}."
        for entry, above in pairwise(meeting)
        if entry.config not in (above.config, top.config)
    ]
    if len(meeting) < len(entries):
        sentences.append(_missed(entries[len(meeting)], slo))
    return " ".join(sentences)


def meeting_from_below(entries: Sequence[PolicyEntry]) -> list[PolicyEntry]:
    """Return the entries, ascending by load, up to the first that misses the SLO.

    One that meets it above one that misses is luck, or the other's bad luck: not to be promised.
    """
    return list(takewhile(lambda entry: entry.meets_slo, entries))


def _named(entry: PolicyEntry) -> str:
    return "the runtime's default" if entry.config.is_default else entry.config.describe()


def _lower(entry: PolicyEntry) -> str:
    if entry.config.is_default:
        return f"keep the runtime's default: {_gain(entry)}"
    return f"{_named(entry)} was better: {_gain(entry)}"


def _gain(entry: PolicyEntry) -> str:
    if entry.measured is None:
        return f"predicted {format_ms(entry.predicted_ms)} ms, not measured"
    mine = format_ms(entry.measured.objective.value_ms) + " ms"
    if entry.measured.slo_verdict == "undecided":
        mine += f" ({entry.measured.requests} requests, too few to prove the SLO)"
    if entry.default is None:
        return f"{mine} measured, not yet confirmed against the default"
    if entry.gain is None:
        return f"{mine}, and nothing measured was proven better"
    default_ms = entry.default.objective.value_ms
    theirs = f"{format_ms(default_ms)} ms" if default_ms is not None else "an endless queue"
    saved = f", {entry.gain.cpu_ratio:.2f} x its CPU time" if entry.gain.cpu_ratio < 1 else ""
    return f"{mine} where the runtime's default has {theirs}{saved} ({entry.gain.reason})"


def _missed(entry: PolicyEntry, slo: Slo) -> str:
    load = format_rps(entry.load_rps)
    return f"Nothing meets {slo} at {load} requests/s. {_what_binds(entry)}"


def _what_binds(entry: PolicyEntry) -> str:
    binding = entry.binding
    if binding is None:
        return ""
    nearest = f"Nearest there is {_named(entry)}"
    if binding.lowest_slo_ms is not None:
        nearest += f" at {format_ms(binding.lowest_slo_ms)} ms, the lowest SLO for this load"
    else:
        nearest += ", whose queue grows without end"
    if binding.highest_load_rps is None:
        return f"{nearest}; no load is known at which the SLO is met."
    evidence = "" if binding.highest_load_evidence == "measured" else " (predicted)"
    return (
        f"{nearest}; the SLO is met up to {format_rps(binding.highest_load_rps)} "
        f"requests/s{evidence}."
    )
