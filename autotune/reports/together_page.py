"""What was found for several models as one page."""

from autotune.present.together import notes, ways
from autotune.reports.chart import GREY, Chart, field, log, rule, spec, tip
from autotune.reports.frame import Head
from autotune.reports.tables_page import Words, tables_page
from autotune.together.records import TogetherFile
from autotune.together.sentence import WAYS
from autotune.units import format_cores, format_rps


def together_page(found: TogetherFile) -> str:
    """Return the whole page."""
    sentence, *more = found.summary.split(". ", maxsplit=1)
    loads = ", ".join(
        f"{one.name} {one.slo} at {format_rps(one.load_rps)}/s ({one.arrivals})"
        for one in found.services
    )
    return tables_page(
        Words(
            Head(
                what="autotune report",
                about=" + ".join(found.members),
                sentence=f"{sentence.rstrip('.')}.",
                more=" ".join(more),
                asked=f"{loads}; {format_cores(found.machine.cores_usable)} of {found.machine.cpu}",
            ),
            tables="Every way that was measured",
            facts="How",
        ),
        [latency(found)],
        ways(found),
        {str(number): text for number, text in enumerate(notes(found), 1)},
    )


def latency(found: TogetherFile) -> Chart:
    """Return latency over the SLO by way and service, and how much it may be off."""
    rows = []
    for one in found.contenders:
        for asked, served in zip(found.services, one.served, strict=True):
            seen, slo_ms = served.measured, asked.slo.latency_ms
            value = seen.objective
            rows.append(
                {
                    "way": WAYS[one.way],
                    "service": asked.name,
                    "over": None if value.value_ms is None else value.value_ms / slo_ms,
                    "low": None if value.low_ms is None else value.low_ms / slo_ms,
                    "high": None if value.high_ms is None else value.high_ms / slo_ms,
                    "percent": 100 * seen.slo_attainment,
                    "cores": round(one.cores_used, 2),
                }
            )
    order = [WAYS[one.way] for one in found.contenders]
    y = field("way", None, "nominal", sort=order, axis={"labelLimit": 220})
    offset = {"yOffset": {"field": "service"}}
    colour = {"color": field("service", "service", "nominal")}
    x = field("over", "latency at the SLO's percentile / SLO", scale=log())
    tips = tip(
        way="way", service="service", over="over the SLO", percent="in SLO, %", cores="cores"
    )
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.5},
            "encoding": {"y": y, "x": field("low", None, scale=log()), "x2": {"field": "high"}}
            | offset
            | colour,
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"y": y, "x": x, "tooltip": tips} | offset | colour,
        },
        *rule(1.0, "x", "SLO", color=GREY),
    ]
    return Chart(
        name="latency",
        title="Latency over the SLO",
        reading="Left of the line is within the SLO. Bars are 95 % intervals; what lost too many "
        "requests has no point.",
        spec=spec(rows, 60 + 60 * len(order), layer=layers),
    )
