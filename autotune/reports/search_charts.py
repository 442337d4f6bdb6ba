"""Pictures of the search: the space, regret over time, predicted against measured."""

from autotune.config_file import TunedFile
from autotune.reports import heat, series
from autotune.reports.chart import GREY, Chart, field, log, rule, spec, tip

MARGIN = 1.25
"""Around the smallest and the largest value."""


def lattice(tuned: TunedFile) -> Chart | None:
    """The lattice as a heat map, for any two knobs at any load."""
    points = series.point_rows(tuned)
    found = heat.layers(tuned, points)
    if found is None:
        return None
    left_out = tuned.lattice.points_left_out if tuned.lattice else 0
    missing = f" {left_out:,} points predicted to be slower are not shown." if left_out else ""
    return Chart(
        name="lattice",
        title="The space, and what was measured of it",
        reading=(
            "A cell stands for the configuration predicted to be fastest among all that have its "
            "two values. A dot: something of it was measured, the fastest at the number below. "
            "Dashed: it lies in the region of a measurement, which speaks for it; elsewhere the "
            f"prediction alone does.{missing}"
        ),
        spec=spec(points, 340, **found),
    )


def regret(tuned: TunedFile) -> Chart | None:
    """How far the best known so far was from the best of all, over the search's seconds."""
    data = series.regret_rows(tuned)
    if not data:
        return None
    lines = {
        "mark": {"type": "line", "interpolate": "step-after", "point": {"size": 20}},
        "encoding": {
            "x": field("s", "seconds since the start", scale={"domainMin": 0}),
            "y": field("percent", "above the best, %", scale={"type": "symlog"}),
            "color": field("load", "load", "nominal", sort=None, scale={"scheme": "tableau10"}),
            "tooltip": tip(load="load", s="second", percent="regret, %"),
        },
    }
    ends = rule(tuned.search.profile_seconds, "x", "profile ends", align="left", dx=5)
    return Chart(
        name="regret",
        title="The search's regret over time",
        reading=(
            "By how much the best configuration known at a moment missed the best measured in the "
            "end; the last dot is what was chosen after the interleaved rounds."
        ),
        spec=spec(data, 240, layer=[lines, *ends]),
    )


def prediction(tuned: TunedFile) -> Chart | None:
    """Predicted against measured latency."""
    data = series.prediction_rows(tuned)
    if not data:
        return None
    values = [row[name] for row in data for name in ("predicted_ms", "measured_ms")]
    domain = [min(values) / MARGIN, MARGIN * max(values)]
    scale = log(domain=domain)
    dots = {
        "mark": {"type": "point", "filled": True, "size": 55, "opacity": 0.75},
        "encoding": {
            "x": field("predicted_ms", "predicted, ms", scale=scale),
            "y": field("measured_ms", "measured, ms", scale=scale),
            "color": field("load", "load", "nominal", sort=None, scale={"scheme": "tableau10"}),
            "shape": field("phase", None, "nominal", legend={"symbolFillColor": GREY}),
            "tooltip": tip(
                config="configuration",
                load="load",
                predicted_ms="predicted, ms",
                measured_ms="measured, ms",
            ),
        },
    }
    line = {
        "data": {"values": [{"ms": end} for end in domain]},
        "mark": {"type": "line", "color": GREY, "strokeDash": [6, 4]},
        "encoding": {
            "x": field("ms", "predicted, ms", scale=scale),
            "y": field("ms", "measured, ms", scale=scale),
        },
    }
    error = tuned.search.prediction
    typical = f" Half of them are within a factor of {error.objective:.2f}." if error else ""
    return Chart(
        name="prediction",
        title="Predicted against measured",
        reading=(
            f"{series.objective_name(tuned)} of every trial, as predicted just before it. On the "
            f"dashed line the prediction was right.{typical}"
        ),
        spec=spec(data, 340, layer=[line, dots]),
    )
