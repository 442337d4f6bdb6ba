"""What `autotune verify` saw, as a page."""

from collections.abc import Iterator, Sequence

from autotune.present.cells import as_tone, share, value, verdict
from autotune.present.document import BLANK, Column, Document, Line, Row, Table, Tone
from autotune.servers.seen import Effect, LoadSeen, Verified
from autotune.units import format_ms, format_rps

_TONES: dict[Effect, Tone] = {
    "took effect": "good",
    "did not": "bad",
    "not seen": "dim",
    "not carried": "dim",
}


def verified_page(found: Sequence[Verified]) -> Document:
    """Return, for each configuration, what took effect and what each load came to."""
    page: list[Line | Table] = []
    for one in found:
        page += [BLANK, *_one(one)] if page else _one(one)
    return page


def _one(one: Verified) -> Iterator[Line | Table]:
    version = f" {one.version}" if one.version else ""
    yield Line(f"{one.server}{version}: {one.config.describe()}", "strong")
    if one.ready_after_s is not None:
        yield Line(
            f"ready after {one.ready_after_s:.1f} s; processes: {one.processes}, threads in all: "
            f"{one.threads}",
            "dim",
        )
    yield _answers(one)
    yield BLANK
    yield _knobs(one)
    yield BLANK
    yield _loads(one)
    for load in one.loads:
        for text in load.errors[:3]:
            yield Line(f"{format_rps(load.load_rps)}/s: {text}", "bad")
    if one.overhead_ms is not None:
        yield Line(
            f"One request at a time, the server adds {format_ms(one.overhead_ms)} ms to an "
            "execution. overhead: median of latency less execution, so queueing and waiting for "
            "company, too. late: what the client added by sending late (p99).",
            "dim",
        )


def _answers(one: Verified) -> Line:
    if one.answers == "different":
        return Line(f"answers differ from those of ONNX Runtime's default: {one.difference}", "bad")
    if one.answers == "equal":
        return Line("answers are those of ONNX Runtime's default", "dim")
    return Line("answers were not compared: this model gives none that can be", "dim")


def _knobs(one: Verified) -> Table:
    heads = ("knob", "asked", "")
    return Table(
        [*(Column(head, right=False) for head in heads), Column("seen", right=False, wraps=True)],
        [
            Row([knob.knob, knob.asked, knob.effect, knob.seen], _TONES[knob.effect])
            for knob in one.knobs
        ],
    )


def _loads(one: Verified) -> Table:
    columns = (
        Column("load"),
        Column(""),
        Column("p50 ms", spare=1),
        Column(f"p{one.slo.percentile:g} ms"),
        Column("in SLO"),
        Column("SLO"),
        Column("execution", spare=2),
        Column("overhead", spare=1),
        Column("late", spare=2),
    )
    return Table(columns, [row for load in one.loads for row in _load_rows(load)])


def _load_rows(load: LoadSeen) -> Iterator[Row]:
    rate = f"{format_rps(load.load_rps)}/s"
    if load.promised is not None:
        promised = load.promised
        yield Row(
            [
                rate,
                "in the file",
                value(promised.p50),
                value(promised.objective),
                share(promised.slo_attainment),
                verdict(promised.slo_verdict, promised.meets_slo),
                format_ms(promised.service_ms),
                "",
                "",
            ],
            "dim",
        )
        rate = ""
    yield Row(
        [
            rate,
            "seen",
            value(load.p50),
            value(load.objective),
            share(load.slo_attainment),
            verdict(load.slo_verdict, load.keeps_slo),
            format_ms(load.inference_ms),
            format_ms(load.overhead_ms),
            format_ms(load.sent_late_ms),
        ],
        as_tone(load.slo_verdict != "missed"),
    )
