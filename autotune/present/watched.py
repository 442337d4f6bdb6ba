"""What watching found as a page: the answer first, then what to do, then the evidence."""

from autotune.config_file import TunedFile
from autotune.drift.records import DriftAnswer, DriftReport, LevelAnswer, LevelSeen
from autotune.present.cells import share, value
from autotune.present.document import BLANK, Column, Document, Line, Row, Table, Tone
from autotune.records import Percentile, Summary
from autotune.units import format_duration, format_percent, format_rps

OUTSIDE = 0.05
"""Share of the requests, up to which chance alone lifts a load above the table."""
SAYS: dict[DriftAnswer, str] = {
    "fits": "fits",
    "slo_missed": "the SLO is missed",
    "drifted": "drifted",
    "too_little": "too little to tell",
}
_TONES: dict[DriftAnswer, Tone] = {"fits": "good", "too_little": "doubt"}
_LEVELS: dict[LevelAnswer, str] = {
    "fits": "fits",
    "slower": "slower",
    "faster": "faster",
    "slo_missed": "SLO missed",
    "too_little": "too few",
    "never_measured": "only predicted",
}
_LEVEL_TONES: dict[LevelAnswer, Tone] = {
    "fits": "good",
    "slower": "bad",
    "slo_missed": "bad",
    "faster": "doubt",
}


def watched_page(report: DriftReport, tuned: TunedFile) -> Document:
    """Return the answer, why, what to do, each load of the policy, and how sure that is."""
    head = (
        f"{report.model}, SLO {report.slo}: {report.requests:,} requests in "
        f"{format_duration(report.seconds)}, {format_rps(report.load_rps)}/s"
    )
    word = SAYS[report.answer]
    tone = _TONES.get(report.answer, "bad")
    first, *others = report.reasons
    return [
        Line(head, "dim"),
        Line(f"{word[0].upper()}{word[1:]}: {first}", tone),
        *(Line(f"also: {text}", tone) for text in others),
        *(Line(f"-> {text}") for text in report.next_steps),
        *(Line(f"note: {text}") for text in report.notes),
        BLANK,
        _table(report, tuned),
        BLANK,
        Line(_evidence(report), "dim"),
    ]


def _table(report: DriftReport, tuned: TunedFile) -> Table:
    columns = (
        Column("load"),
        Column("", right=False),
        Column("requests", spare=1),
        Column("p50 ms", spare=1),
        Column("p95 ms", spare=2),
        *map(Column, ("p99 ms", "in SLO")),
        Column("", right=False),
    )
    rows = []
    for level, entry in zip(report.levels, tuned.policy, strict=True):
        load = f"{format_rps(level.load_rps)}/s"
        rows.append(Row([load, "in the file", *_promised(entry.measured), ""], "dim"))
        tone = _LEVEL_TONES.get(level.answer, "plain") if level.requests else "dim"
        rows.append(Row(["", "seen", *_seen(level)], tone))
    return Table(columns, rows)


def _promised(one: Summary | None) -> list[str]:
    if one is None:
        return ["-"] * 5
    latencies = [*map(value, (one.p50, one.p95, one.p99))]
    return [f"{one.requests:,}", *latencies, share(one.slo_attainment)]


def _seen(level: LevelSeen) -> list[str]:
    if level.slo_attainment is None:
        return ["0", *["-"] * 4, "not seen"]
    latencies = [*map(_value, (level.p50, level.p95, level.p99))]
    return [
        f"{level.requests:,}",
        *latencies,
        share(level.slo_attainment),
        _LEVELS[level.answer],
    ]


def _value(one: Percentile | None) -> str:
    return "-" if one is None else value(one)


def _evidence(report: DriftReport) -> str:
    text = (
        f"Any false alarm in the whole record: at most {format_percent(report.false_alarms)} % "
        f"({report.tests} questions, {report.block_requests:,} requests a block, tolerance "
        f"{100 * report.tolerance:g} %)."
    )
    if report.outside > OUTSIDE * report.requests:
        text += (
            f" {report.outside:,} requests came while the load was above the table, or just after: "
            "nothing is promised for them."
        )
    return text
