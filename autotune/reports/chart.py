"""One picture as a Vega-Lite specification: plain data, drawn elsewhere; and its common parts.

Colours are told apart by the colour-blind (after Okabe and Ito's set, 2008, each moved towards the
middle so that it stands on white and on black).
"""

import math
from collections.abc import Sequence
from typing import Any

from autotune.reports.series import DEFAULT, TUNED, Row
from autotune.spec import Record

Spec = dict[str, Any]

BLUE, ORANGE, GREEN, PURPLE, GREY = "#2b8acb", "#e08214", "#1a9e77", "#a56cc1", "#8a8f98"
SIDES = {"domain": [TUNED, DEFAULT], "range": [BLUE, ORANGE]}
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


class Chart(Record, frozen=True):
    """One picture."""

    name: str
    """For file names and anchors: letters, digits and dashes."""
    title: str
    reading: str
    """How to read it, in a sentence or two."""
    spec: Spec


def spec(data: Sequence[Row], height: int, **rest: Any) -> Spec:
    """Return a specification as wide as its container, in pixels high."""
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": list(data)},
        **rest,
    }


def drawable(value: Any) -> Any:
    """Return a specification without numbers that JSON cannot hold: they are as if unknown."""
    if isinstance(value, dict):
        return {key: drawable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [drawable(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def field(name: str, title: str | None, kind: str = "quantitative", **rest: Any) -> Spec:
    """Return the encoding of a field; a title of None leaves it without."""
    return {"field": name, "type": kind, "title": title, **rest}


def log(**rest: Any) -> Spec:
    """Return a logarithmic scale that ends where its data does."""
    return {"type": "log", "nice": False, **rest}


def tip(**fields: str) -> list[Spec]:
    """Return tooltips, titles by field; numbers at three digits."""
    return [
        {"field": name, "title": title} | ({"format": ",.3~r"} if _is_number(name) else {})
        for name, title in fields.items()
    ]


def _is_number(name: str) -> bool:
    return name in ("ms", "s", "share", "percent", "joules", "core_s") or name.endswith(
        ("_ms", "_rps")
    )


def rule(value: float, axis: str, text: str, **label: Any) -> list[Spec]:
    """Return a dashed line across the chart with its meaning beside it."""
    line = {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.5, "color": GREY}
    place: Spec = {"align": "right", "baseline": "top", "dx": -5, "y": 4}
    if axis == "y":
        place = {"align": "left", "baseline": "bottom", "dx": 4, "dy": -3, "x": 0}
    words = {"type": "text", "fontSize": 11, "color": GREY, "text": text, **place, **label}
    at: Spec = {"data": {"values": [{}]}, "encoding": {axis: {"datum": value}}}
    return [{**at, "mark": line}, {**at, "mark": words}]


def of_configs(names: Sequence[str]) -> Spec:
    """Return a colour for each configuration; the runtime's default has its own everywhere."""
    others = iter([BLUE, GREEN, PURPLE])
    colours = [ORANGE if name == DEFAULT else next(others, GREY) for name in names]
    return {"domain": list(names), "range": colours}
