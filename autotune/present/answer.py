"""A tuned file as a page: the policy beside the default, what it rests on, and the sentence."""

from collections.abc import Iterator

from msgspec import structs

from autotune.config_file import PolicyEntry, TunedFile
from autotune.present.cells import as_tone, bounds, cpu_ms, met_if_undisturbed, share, value
from autotune.present.document import BLANK, Column, Document, Line, Row, Table
from autotune.records import Percentile, Placement, Summary
from autotune.service import TradeOff
from autotune.target_info import TargetInfo
from autotune.units import format_cores, format_duration, format_ms, format_rps

_PERCENTILES = {"p50 ms": "p50", "p95 ms": "p95", "p99 ms": "p99"}
"""Fields of a summary, by the heads of their columns."""


def answer_page(tuned: TunedFile, with_intervals: bool) -> Document:
    """Return the whole page; intervals need about a hundred columns."""
    return [
        _policy(tuned, with_intervals),
        *_notes(tuned, with_intervals),
        BLANK,
        Line(tuned.summary, "strong"),
    ]


def _policy(tuned: TunedFile, with_intervals: bool) -> Table:
    asked = f"p{tuned.slo.percentile:g} ms"
    fields = {**_PERCENTILES, asked: "objective"}
    columns = (
        Column("load"),
        Column("configuration", right=False, wraps=True),
        *(Column(head, spare=0 if head == asked else 2) for head in fields),
        Column("in SLO", spare=1),
        Column("CPU ms", spare=1),
        Column("SLO", right=False),
    )
    rows = [row for entry in tuned.policy for row in _rows(entry, fields, with_intervals)]
    return Table(columns, rows)


def _rows(entry: PolicyEntry, fields: dict[str, str], with_intervals: bool) -> Iterator[Row]:
    load, name = f"{format_rps(entry.load_rps)}/s", entry.config.describe()
    tone = as_tone(entry.meets_slo)
    if entry.measured is None:
        predicted = f"~{format_ms(entry.predicted_ms)}"
        cells = [predicted if field == "objective" else "-" for field in fields.values()]
        yield Row([load, name, *cells, "-", "-", "predicted"], tone)
        return
    yield Row([load, name, *_cells(entry.measured, fields, with_intervals)], tone)
    if entry.default is not None and not entry.config.is_default:
        default = _cells(entry.default, fields, with_intervals)
        yield Row(["", entry.config.default.describe(), *default], "dim")


def _cells(summary: Summary, fields: dict[str, str], with_intervals: bool) -> list[str]:
    percentiles = (getattr(summary, field) for field in fields.values())
    return [
        *(_percentile(one, with_intervals) for one in percentiles),
        share(summary.slo_attainment),
        cpu_ms(summary),
        met_if_undisturbed(summary),
    ]


def _percentile(one: Percentile, with_interval: bool) -> str:
    if not with_interval or one.value_ms is None:
        return value(one)
    low, high = bounds(one)
    return f"{value(one)} [{low}-{high}]"


def _notes(tuned: TunedFile, with_intervals: bool) -> Iterator[Line]:
    yield Line(_legend(tuned, with_intervals), "dim")
    if tuned.status == "interrupted":
        yield Line("Interrupted: this is the best so far, not a finished search.")
    if prediction := _prediction(tuned):
        yield Line(prediction, "dim")
    if tuned.target is not None:
        yield from (Line(text) for text in target_lines(tuned.target, tuned.slo.percentile))
    for text in (*_learnt(tuned), *_executors(tuned), *_transfers(tuned)):
        yield Line(text, "dim")
    if len(tuned.front) > 1:
        yield from _front(tuned)
    if energy := _energy(tuned):
        yield Line(energy, "dim")
    if tuned.search.max_risk is not None:
        yield Line(_caution(tuned, tuned.search.max_risk))


def _legend(tuned: TunedFile, with_intervals: bool) -> str:
    brackets = "Brackets: 95 % interval, ? where the requests cannot bound it. " * with_intervals
    shown = [side for entry in tuned.policy for side in (entry.measured, entry.default) if side]
    spoilt = [clause for side in shown for clause in side.disturbed]
    mark = f" *: disturbed: {spoilt[0]}; see autotune doctor." if spoilt else ""
    return (
        f"{tuned.model.name}, SLO {tuned.slo}, arrivals {tuned.arrivals}, "
        f"{format_cores(tuned.machine.cores_usable)}, {tuned.runtime}. "
        f"{brackets}met/missed: proven at 95 %; with ?: the estimate only. CPU ms: per request."
        + mark
    )


def _prediction(tuned: TunedFile) -> str:
    error = tuned.search.prediction
    if error is None or error.p50 is None or error.profile_only is None:
        return ""
    met, missed = error.capacity_met_rps, error.capacity_missed_rps
    capacity = f"met up to {format_rps(met)}/s" if met else "met at no load"
    capacity += f", missed at {format_rps(missed)}/s" if missed else ""
    return (
        f"Prediction, median factor off: p50 x{error.p50:.2f}, p{tuned.slo.percentile:g} "
        f"x{error.profile_only:.2f} by the profile alone and x{error.objective:.2f} as corrected "
        f"while measuring. Capacity: {format_rps(error.predicted_capacity_rps)}/s predicted; "
        f"{capacity}."
    )


def target_lines(target: TargetInfo, percentile: float) -> Iterator[str]:
    """Say through what was measured, and of each load what the engine's answer became there."""
    yield f"Measured through {target.describe()}, from request to answer."
    for one in target.loads:
        factor = "" if one.ratio is None else f" (x{one.ratio:.2f})"
        yield (
            f"  {format_rps(one.load_rps)}/s, p{percentile:g} ms of {one.config.describe()}: "
            f"{_known(one.engine)} in the engine, {_known(one.server)} through the server{factor}"
        )


def _known(one: Percentile | None) -> str:
    return "unknown" if one is None else value(one)


def _executors(tuned: TunedFile) -> Iterator[str]:
    """What executed the model beside the runtime as it comes, and what that cost before."""
    for placement in tuned.search.placements:
        if placement.provider != "cpu":
            yield placement_sentence(placement)
    if tuned.search.compiled_s:
        yield f"Compiling took {format_duration(tuned.search.compiled_s)}, which is in no latency."


def placement_sentence(placement: Placement) -> str:
    """Say how much of the model a provider executes."""
    total, fallen = sum(placement.nodes.values()), placement.nodes.get("cpu", 0)
    text = f"{placement.provider} executes {total - fallen} of the model's {total} nodes"
    return (
        f"{text}; {100 * placement.fallback_share:.0f} % fell back to the CPU."
        if fallen
        else f"{text}."
    )


def _transfers(tuned: TunedFile) -> Iterator[str]:
    """How much of the copying to and from a GPU is hidden, and what latency gains by that."""
    for entry in tuned.policy:
        measured = entry.measured
        moved = None if measured is None else measured.transfer
        if measured is None or moved is None or not moved.batches:
            continue
        each_ms = 1e3 * (moved.in_s + moved.out_s) / moved.batches
        text = (
            f"At {format_rps(entry.load_rps)}/s copies take {format_ms(each_ms)} ms a batch, of "
            f"which {100 * moved.hidden_share:.0f} % is hidden behind compute"
        )
        if (naive_ms := _naive_ms(tuned, entry)) and (own := measured.objective.value_ms):
            text += f"; the same without overlap: {format_ms(naive_ms)} ms, x{own / naive_ms:.2f}"
        yield f"{text}."


def _naive_ms(tuned: TunedFile, entry: PolicyEntry) -> float | None:
    """Latency of the same configuration whose copies are not overlapped, in the same rounds."""
    if not entry.config.overlap:
        return None
    naive = structs.replace(entry.config, overlap=False)
    for one in tuned.finalists:
        if one.load_rps == entry.load_rps and one.config == naive:
            return one.measured.objective.value_ms
    return None


def _front(tuned: TunedFile) -> Iterator[Line]:
    """What may be traded: of each number of cores, what sustains most, and what costs least."""
    yield Line("Measured within the SLO, and beaten by nothing else in all three:", "dim")
    for one in tuned.front:
        yield Line(
            f"  {format_rps(one.load_rps)}/s: {one.config.describe()}, "
            f"{one.cores} core{'s' if one.cores > 1 else ''}, "
            f"{format_ms(one.cpu_s_per_request * 1e3)} CPU ms",
            "dim",
        )


def _energy(tuned: TunedFile) -> str:
    """What a request takes at least within the SLO, load by load, and where that is known from."""
    power, least = tuned.power, dict[float, TradeOff]()
    for one in tuned.trade_offs:
        before = least.get(one.load_rps)
        if one.meets_slo and (before is None or one.joules_per_request < before.joules_per_request):
            least[one.load_rps] = one
    if power is None or not least:
        return ""
    found = (
        f"{one.joules_per_request:.3g} J at {format_rps(load_rps)}/s ({one.config.describe()}, "
        f"{format_ms(one.latency_ms)} ms)"
        for load_rps, one in least.items()
    )
    return f"Energy per request, least within the SLO: {', '.join(found)}; {power.describe()}."


def _learnt(tuned: TunedFile) -> Iterator[str]:
    learnt = tuned.search.learnt
    if learnt is None:
        return
    if learnt.version_of is not None:
        held = "its answer was verified" if tuned.search.stopped == "verified" else "searched anew"
        yield f"A version of a model that was searched for on {learnt.version_of}: {held}."
    trusts = {"service times": learnt.times_trust, "latency": learnt.latency_trust}
    holds = [f"{what} {share(trust)}" for what, trust in trusts.items() if trust is not None]
    many = f"{learnt.searches} earlier search{'es' if learnt.searches != 1 else ''}"
    yield f"Learnt from {many}" + (f"; that it holds here: {', '.join(holds)}." if holds else ".")


def _caution(tuned: TunedFile, max_risk: float) -> str:
    count = tuned.search.violations
    measured = sum(trial.measured is not None for trial in tuned.trials)
    return (
        "Safe: only what was predicted to miss the SLO with less than "
        f"{100 * max_risk:g} % chance was tried; {count} of {measured} "
        f"measurement{'s' if measured != 1 else ''} missed it."
    )
