"""Pictures of the answer: latency and its parts over load, distributions, the policy."""

from collections.abc import Iterator, Sequence

from autotune.config_file import TunedFile
from autotune.reports import series
from autotune.reports.chart import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    SIDES,
    Chart,
    Spec,
    field,
    log,
    of_configs,
    rule,
    spec,
    tip,
)
from autotune.reports.series import PARTS, Row
from autotune.units import format_rps

ROOM = 1.25
"""Bars may be so much longer than the longest of a configuration that kept up."""
BAR_PX = 24
SIZES = {"type": "sqrt", "range": [25, 320]}
FEW = {"tickCount": 3, "format": ".2~g"}
NINES = {
    "values": [0, 0.30103, 1, 1.30103, 2, 3],
    "labelExpr": "format(100 * (1 - pow(10, -datum.value)), '.3~r') + ' %'",
}
"""An axis of -log10(1 - share), which is how many nines a share has: 0, 50, 90, 95, 99, 99.9 %."""


def latency(tuned: TunedFile) -> Chart | None:
    """Latency against load: percentiles with bands, the SLO, the knee, the default beside."""
    data = series.latency_rows(tuned)
    if not data:
        return None
    percentile = series.objective_name(tuned)
    shared = {
        "x": field("load_rps", "offered load, requests/s", scale={"zero": True}),
        "color": field("side", None, "nominal", scale=SIDES),
    }
    y = field("ms", "latency, ms", scale=log())
    band = {
        "transform": [{"filter": f"datum.percentile == '{percentile}' && datum.ms != null"}],
        "mark": {"type": "area", "opacity": 0.18},
        "encoding": {**shared, "y": {**y, "field": "low_ms"}, "y2": {"field": "high_ms"}},
    }
    layers = [*_foreseen(tuned, shared, y), band, *_lines(data, shared, y)]
    layers += _unbounded(data, shared)
    layers += rule(tuned.slo.latency_ms, "y", f"SLO: {tuned.slo}")
    knee = series.knee_rps(tuned)
    if knee is not None:
        layers += rule(knee, "x", f"SLO met up to {format_rps(knee)}/s")
    return Chart(
        name="latency",
        title="Latency against load",
        reading=(
            f"Dots are measured, the band is the 95 % interval of {percentile}; the thin line is "
            f"{percentile} as predicted in between and beyond. A triangle at the top: the queue "
            "grew without end, or so many requests were lost that the percentile has no value. "
            "The scale is logarithmic."
        ),
        spec=spec(data, 380, layer=layers),
    )


def _lines(data: Sequence[Row], shared: Spec, y: Spec) -> list[Spec]:
    names = list(dict.fromkeys(row["percentile"] for row in data))
    dashes = [[1, 3], [6, 3], [1, 0], [10, 2, 2, 2]][: len(names)]
    dash = field("percentile", None, "nominal", scale={"domain": names, "range": dashes})
    tips = tip(
        side="side",
        config="configuration",
        percentile="percentile",
        load_rps="load, /s",
        ms="latency, ms",
        low_ms="at least, ms",
        high_ms="at most, ms",
        requests="requests",
    )
    known: Spec = {"transform": [{"filter": "datum.ms != null"}]}
    line, dot = {"type": "line", "strokeWidth": 2}, {"type": "point", "filled": True, "size": 45}
    return [
        {**known, "mark": line, "encoding": {**shared, "y": y, "strokeDash": dash}},
        {**known, "mark": dot, "encoding": {**shared, "y": y, "tooltip": tips}},
    ]


def _foreseen(tuned: TunedFile, shared: Spec, y: Spec) -> list[Spec]:
    data = series.curve_rows(tuned)
    tips = tip(config="predicted", load_rps="load, /s", ms="latency, ms")
    mark = {"type": "line", "strokeWidth": 1, "opacity": 0.6}
    layer = {"data": {"values": data}, "mark": mark}
    return [{**layer, "encoding": {**shared, "y": y, "tooltip": tips}}] if data else []


def _unbounded(data: Sequence[Row], shared: Spec) -> list[Spec]:
    """Percentiles without a value: triangles at the top."""
    if all(row["ms"] is not None for row in data):
        return []
    tips = tip(config="without a value", percentile="percentile", load_rps="load, /s")
    return [
        {
            "transform": [{"filter": "datum.ms == null"}],
            "mark": {"type": "point", "shape": "triangle-up", "filled": True, "size": 90},
            "encoding": {**shared, "y": {"value": 6}, "tooltip": tips},
        }
    ]


def distributions(tuned: TunedFile) -> Iterator[Chart]:
    """The finalists' latency distributions, one chart a load."""
    for place, entry in enumerate(tuned.policy):
        data = series.distribution_rows(tuned, entry.load_rps)
        if not data:
            continue
        names = list(dict.fromkeys(row["config"] for row in data))
        lines = {
            "transform": [{"calculate": "-log(1 - datum.share) / LN10", "as": "nines"}],
            "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 18}},
            "encoding": {
                "x": field("ms", "latency, ms", scale=log()),
                "y": field("nines", "share answered", axis=NINES),
                "color": field("config", None, "nominal", scale=of_configs(names)),
                "order": {"field": "share"},
                "tooltip": tip(config="configuration", share="share", ms="within, ms"),
            },
        }
        yield Chart(
            name=f"distribution-{place + 1}",
            title=f"Latency distribution of the finalists at {format_rps(entry.load_rps)}/s",
            reading=(
                "The share of requests answered within so many milliseconds, the tail stretched. "
                "Further left is better; what counts is how high a line is at the SLO."
            ),
            spec=spec(data, 250, layer=[lines, *rule(tuned.slo.latency_ms, "x", "SLO")]),
        )


def parts(tuned: TunedFile) -> Chart | None:
    """Where the time goes: mean parts of latency, stacked, a bar per load and side."""
    data = series.part_rows(tuned)
    if not data:
        return None
    total: dict[str, float] = {}
    for row in data:
        total[row["bar"]] = total.get(row["bar"], 0.0) + row["ms"]
    kept_up = [total[row["bar"]] for row in data if not row["diverged"]]
    top = ROOM * max(kept_up or total.values())
    y = field("bar", None, "nominal", sort=list(total), axis={"labelLimit": 200})
    bars = {
        "mark": {"type": "bar", "clip": True},
        "encoding": {
            "y": y,
            "x": field("ms", "mean latency, ms", scale={"domain": [0, top]}),
            "color": field(
                "part",
                None,
                "nominal",
                scale={"domain": list(PARTS), "range": [ORANGE, PURPLE, BLUE, GREY]},
            ),
            "order": {"field": "order"},
            "tooltip": tip(bar="load", config="configuration", part="part", ms="mean, ms"),
        },
    }
    cut = {
        "transform": [{"filter": "datum.diverged && datum.order == 0"}],
        "mark": {"type": "text", "align": "right", "dx": -6, "fontWeight": "bold"},
        "encoding": {
            "y": y,
            "x": {"datum": top},
            "text": {"value": "overload: goes on >"},
            "color": {"value": "black"},
        },
    }
    return Chart(
        name="parts",
        title="Where the time goes",
        reading=(
            "Mean milliseconds per request. Queueing: waiting for a free replica. Batch wait: "
            "waiting for company. Service: executing. Issue lateness: what the measuring itself "
            "adds. Bars of an overloaded configuration are cut off."
        ),
        spec=spec(data, 70 + BAR_PX * len(total), layer=[bars, cut]),
    )


def trade_offs(tuned: TunedFile) -> Chart | None:
    """Latency against energy of what nothing beats in both and in cores; a line per load."""
    data, power = series.trade_off_rows(tuned), tuned.power
    if not data or power is None:
        return None
    shared = {
        "x": field("joules", "joules per request", scale={"zero": True}),
        "y": field("ms", f"{series.objective_name(tuned)} latency, ms", scale=log(padding=20)),
        "color": field("load", "load", "nominal", sort=None, scale={"scheme": "tableau10"}),
    }
    tips = tip(
        load="load",
        config="configuration",
        ms="latency, ms",
        joules="joules per request",
        core_s="core-seconds per request",
        slo="SLO",
    )
    lines = {
        "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.5},
        "encoding": {**shared, "order": {"field": "joules"}},
    }
    dots = {
        "mark": {"type": "point", "filled": True},
        "encoding": {
            **shared,
            "size": field("core_s", "core-s per request", scale=SIZES, legend=FEW),
            "opacity": {"condition": {"test": "datum.slo == 'met'", "value": 1}, "value": 0.35},
            "tooltip": tips,
        },
    }
    how = "by a model" if power.is_model else "measured"
    return Chart(
        name="trade-offs",
        title="What latency costs in energy and cores",
        reading=(
            "Measured configurations that no other beats in latency, energy and cores at once; "
            f"energy {how}, the idle power's share included: {power.describe()}. A larger dot "
            "takes more cores; pale where the SLO is missed."
        ),
        spec=spec(data, 280, layer=[lines, dots, *rule(tuned.slo.latency_ms, "y", "SLO")]),
    )


def policy(tuned: TunedFile) -> Chart:
    """The policy as a strip over load."""
    data = series.policy_rows(tuned)
    names = list(dict.fromkeys(row["config"] for row in data))
    tips = tip(
        config="run", from_rps="from, /s", to_rps="up to, /s", slo="SLO", evidence="evidence"
    )
    strip = {
        "mark": {"type": "rect", "stroke": "white", "strokeWidth": 2},
        "encoding": {
            "x": field("from_rps", "offered load, requests/s", scale={"nice": False}),
            "x2": {"field": "to_rps"},
            "color": field("config", None, "nominal", scale=of_configs(names)),
            "opacity": {"condition": {"test": "datum.slo == 'met'", "value": 1}, "value": 0.35},
            "tooltip": tips,
        },
    }
    return Chart(
        name="policy",
        title="The policy",
        reading="Which configuration serves which load; pale where the SLO is missed.",
        spec=spec(data, 150, layer=[strip]),
    )
