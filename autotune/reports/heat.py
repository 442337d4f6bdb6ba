"""The lattice as a heat map, for any two knobs at any load: predicted, measured, and regions."""

import math
from typing import Any

from autotune.config_file import TunedFile
from autotune.reports import series
from autotune.reports.chart import Spec, field, log, tip
from autotune.reports.series import KNOBS, Row
from autotune.units import format_rps

FIRST_CHOICE = ("replicas", "intra_op_threads", "max_batch_size", "spinning", "inter_op_threads")
"""The knobs to show first: two of these that vary."""
INK = "#ff3d7f"
"""Of what was measured: a colour that viridis does not have."""


def layers(tuned: TunedFile, points: list[Row]) -> Spec | None:
    """Return parameters, transforms and layers; None where fewer than two knobs vary."""
    varying = [knob for knob in KNOBS if len({row[knob] for row in points}) > 1]
    if len(varying) < 2:
        return None
    first = [knob for knob in FIRST_CHOICE if knob in varying]
    across, up, *_ = [*first, *varying]
    return {
        "params": [
            _choice("across", across, varying, [KNOBS[knob] for knob in varying]),
            _choice("up", up, varying, [KNOBS[knob] for knob in varying]),
            _choice("at", _default_load(tuned), *_loads(tuned)),
        ],
        "title": {"text": {"expr": _caption(tuned)}, "fontSize": 12, "anchor": "start"},
        "transform": _cells(),
        "layer": _layers(tuned, points),
    }


def _choice(name: str, value: Any, options: list[Any], labels: list[str]) -> Spec:
    bind = {"input": "select", "options": options, "labels": labels, "name": f"{name} "}
    return {"name": name, "value": value, "bind": bind}


def _loads(tuned: TunedFile) -> tuple[list[int], list[str]]:
    labels = [f"{format_rps(entry.load_rps)} requests/s" for entry in tuned.policy]
    return list(range(len(labels))), labels


def _default_load(tuned: TunedFile) -> int:
    """The highest load that meets the SLO, or the lowest."""
    knee = series.knee_rps(tuned)
    return next((i for i, entry in enumerate(tuned.policy) if entry.load_rps == knee), 0)


def _caption(tuned: TunedFile) -> str:
    """A Vega expression: what the axes and cells are now."""
    loads = _loads(tuned)[1]
    return (
        f"['{series.objective_name(tuned)}, ms, at ' + {loads!r}[at], 'across: ' + "
        f"{KNOBS!r}[across] + '; up: ' + {KNOBS!r}[up]]"
    )


def _cells() -> list[Spec]:
    """Of all points in a cell, the one predicted to be fastest, and the fastest measured."""
    return [
        {"calculate": "datum[across]", "as": "x"},
        {"calculate": "datum[up]", "as": "y"},
        {"calculate": "datum.predicted[at]", "as": "p"},
        {"calculate": "datum.measured[at]", "as": "m"},
        {
            "aggregate": [
                {"op": "argmin", "field": "p", "as": "best"},
                {"op": "min", "field": "m", "as": "measured_ms"},
                {"op": "valid", "field": "m", "as": "trials"},
                {"op": "count", "as": "points"},
            ],
            "groupby": ["x", "y"],
        },
        {"calculate": "datum.best.p", "as": "predicted_ms"},
        {"calculate": "datum.best.config", "as": "config"},
        {"calculate": "datum.best.region[at]", "as": "region"},
    ]


def _layers(tuned: TunedFile, points: list[Row]) -> list[Spec]:
    place = {
        "x": field("x", None, "ordinal", axis={"labelAngle": 0, **_labels("across")}),
        "y": field("y", None, "ordinal", sort="descending", axis=_labels("up")),
    }
    # A file of anybody's may predict nothing above zero, which no logarithm is of.
    values = [value for row in points for value in row["predicted"] if value > 0] or [1.0]
    in_region = {"test": "datum.region !== null", "value": 2}
    middle = math.sqrt(min(values)) * math.sqrt(max(values))
    on_dark = {"test": f"datum.predicted_ms > {middle}", "value": "white"}
    measured: Spec = {"transform": [{"filter": "datum.measured_ms !== null && datum.trials > 0"}]}
    dot = {"type": "point", "filled": True, "color": INK, "size": 70, "yOffset": -8}
    number = {"type": "text", "fontSize": 11, "fontWeight": "bold", "yOffset": 8}
    outline = {"type": "rect", "fill": None, "stroke": INK, "strokeDash": [3, 2]}
    return [
        {"mark": "rect", "encoding": {**place, **_cell(tuned, min(values), max(values))}},
        {
            "mark": outline,
            "encoding": {**place, "strokeWidth": {"condition": in_region, "value": 0}},
        },
        {**measured, "mark": dot, "encoding": place},
        {
            **measured,
            "mark": number,
            "encoding": {
                **place,
                "text": field("measured_ms", None, format=",.3~r"),
                "color": {"condition": on_dark, "value": "black"},
            },
        },
    ]


def _labels(knob: str) -> Spec:
    """Of the axis that a parameter chooses: no intra-op threads leave them to the runtime."""
    auto = f"{knob} === 'intra_op_threads' && datum.value === 0"
    return {"labelExpr": f"{auto} ? 'auto' : datum.label"}


def _cell(tuned: TunedFile, least_ms: float, most_ms: float) -> Spec:
    scale = log(scheme="viridis", reverse=True, domain=[least_ms, most_ms])
    return {
        "color": field(
            "predicted_ms",
            f"predicted {series.objective_name(tuned)}, ms",
            scale=scale,
            legend={"orient": "bottom", "gradientLength": 220},
        ),
        "tooltip": tip(
            config="predicted to be fastest here",
            predicted_ms="predicted, ms",
            measured_ms="fastest measured here, ms",
            region="in the region of",
            trials="configurations measured here",
            points="configurations here",
        ),
    }
