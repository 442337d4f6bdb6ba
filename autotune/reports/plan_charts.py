"""Pictures of a plan: load and machines over time, what each policy costs, the function's tail."""

from autotune.errors import UsageError, did_you_mean
from autotune.planning.records import Plan
from autotune.planning.words import NAMES
from autotune.reports import plan_series as series
from autotune.reports.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SCHEMA,
    Chart,
    Spec,
    field,
    rule,
    spec,
    tip,
)
from autotune.reports.picture import WIDTH_PX
from autotune.reports.plan_series import BOUND, CHOSEN, MET, MISSED

OVERVIEW = "overview"
LOAD, CAPACITY = "load", "what the machines serve within the SLO"
SHOWN = "shown"
"""Vega's name for the policy that is chosen below a picture."""
HEIGHTS_PX = {"load": 240, "machines": 200, "attainment": 160}
LEAST_SHARE = 0.9
"""Down to which attainment is drawn: what is lower is cut off, and its tooltip says how low."""


def plan_charts(plan: Plan) -> list[Chart]:
    """Return the pictures that the plan has data for, in the order of the page."""
    found = [load(plan), machines(plan), attainment(plan), costs(plan), function(plan)]
    return [chart for chart in found if chart is not None]


def choose_picture(plan: Plan, name: str) -> Chart:
    """Return a picture by its name; `overview` is load, machines and attainment in one.

    Raises:
        UsageError: there is none of that name, or the plan has no data for it.
    """
    if name == OVERVIEW:
        return overview(plan)
    made = {chart.name: chart for chart in plan_charts(plan)}
    if name not in made:
        choose_one = f"choose {', '.join((OVERVIEW, *made))}{did_you_mean(name, made)}"
        raise UsageError(f"there is no picture {name!r} of this plan: {choose_one}")
    return made[name]


def overview(plan: Plan) -> Chart:
    """Load, machines and attainment of the policy that is shown first, one below the other.

    Raises:
        UsageError: the plan has no course over time.
    """
    shown = series.first_shown(plan)
    if shown is None:
        raise UsageError("the plan has no policy that can be drawn over time")
    parts = [load(plan), machines(plan), attainment(plan)]
    views = []
    for chart in filter(None, parts):
        view = {key: value for key, value in chart.spec.items() if key not in _OF_THE_WHOLE}
        rows = [row for row in chart.spec["data"]["values"] if row["policy"] == shown]
        if not rows:  # of machines, where a function serves all
            continue
        filtered = {"values": rows}
        views.append({**view, "width": WIDTH_PX, "data": filtered, **_without_choice(view)})
    return Chart(
        name=OVERVIEW,
        title=f"{_short(plan.model)}, scaled {NAMES[shown]}",
        reading="Load, machines and the share within the SLO over time.",
        spec={
            "$schema": SCHEMA,
            "vconcat": views,
            "spacing": 12,
            "resolve": {"scale": {"color": "independent", "x": "shared"}},
        },
    )


_OF_THE_WHOLE = ("$schema", "autosize", "params")


def _without_choice(view: Spec) -> Spec:
    """Its transforms but for the choice of a policy, which its data have been through."""
    return {"transform": [one for one in view.get("transform", []) if one != _CHOSEN_ONLY]}


_CHOSEN_ONLY: Spec = {"filter": f"datum.policy === {SHOWN}"}


def _shown(plan: Plan) -> Spec:
    """A choice of the policy below the picture, and only that one drawn."""
    kinds = [one.kind for one in series.drawn(plan)]
    labels = [NAMES[kind] for kind in kinds]
    bind = {"input": "select", "options": kinds, "labels": labels, "name": "scaled "}
    return {
        "params": [{"name": SHOWN, "value": series.first_shown(plan), "bind": bind}],
        "transform": [_CHOSEN_ONLY],
    }


def _time(plan: Plan) -> Spec:
    if plan.trace.began is None:
        return field("hours", "hours into the trace", scale={"nice": False})
    axis = {"format": "%m-%d %H:%M", "labelOverlap": True, "tickCount": 8}
    return field("at", "time (UTC)", "temporal", axis=axis)


def load(plan: Plan) -> Chart | None:
    """Load and capacity over time."""
    data = series.load_rows(plan)
    if not data:
        return None
    x = _time(plan)
    scale = {"domain": [LOAD, CAPACITY], "range": [GREY, BLUE]}
    tips = _tips(plan, load_rps="load, /s", capacity_rps="capacity, /s", spilled="spilled share")
    area = {
        "mark": {"type": "area", "opacity": 0.45, "interpolate": "step-after"},
        "encoding": {
            "x": x,
            "y": field("load_rps", "requests/s"),
            "color": {"datum": LOAD, "type": "nominal", "scale": scale, "title": None},
        },
    }
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "interpolate": "step-after"},
        "encoding": {
            "x": x,
            "y": field("capacity_rps", "requests/s"),
            "color": {"datum": CAPACITY, "type": "nominal", "scale": scale, "title": None},
            "tooltip": tips,
        },
    }
    return Chart(
        name="load",
        title="Load and capacity",
        reading=(
            "Grey: requests/s. The line: what the machines that are ready serve within the SLO. "
            "Where grey stands above it, requests wait, are lost, or spill over to functions. "
            "Another policy may be chosen here, for the pictures below as well."
        ),
        spec=spec(data, HEIGHTS_PX["load"], **_shown(plan), layer=[area, line]),
    )


def machines(plan: Plan) -> Chart | None:
    """Machines by type over time, stacked."""
    data = series.machine_rows(plan)
    names = series.type_names(plan)
    if not data:
        return None
    colours = [BLUE, GREEN, PURPLE, ORANGE, GREY]
    scale = {"domain": names, "range": colours[: len(names)]}
    area = {
        "mark": {"type": "area", "opacity": 0.8, "interpolate": "step-after"},
        "encoding": {
            "x": _time(plan),
            "y": field("machines", "machines", stack="zero", axis={"tickMinStep": 1}),
            "color": field("type", None, "nominal", scale=scale),
            "order": {"field": "order"},
            "tooltip": _tips(plan, type="type", machines="machines"),
        },
    }
    return Chart(
        name="machines",
        title="Machines",
        reading="Machines that are ready to serve, by type, one type upon the other.",
        spec=spec(data, HEIGHTS_PX["machines"], **_shown(plan), layer=[area]),
    )


def attainment(plan: Plan) -> Chart | None:
    """Share of the requests within the SLO over time."""
    data = series.load_rows(plan)
    if not data:
        return None
    lowest = min(LEAST_SHARE, plan.slo.quantile - 0.05)
    y = field(
        "share",
        "share within the SLO",
        scale={"domain": [max(0.0, lowest), 1.0], "clamp": True, "nice": False},
        axis={"format": "%"},
    )
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "interpolate": "step-after", "color": GREEN},
        "encoding": {
            "x": _time(plan),
            "y": y,
            "tooltip": _tips(plan, share="share within the SLO", load_rps="load, /s"),
        },
    }
    layers = [line, *rule(plan.slo.quantile, "y", f"SLO: {plan.slo}", baseline="top", dy=4)]
    return Chart(
        name="attainment",
        title="Within the SLO",
        reading=(
            f"The share of requests answered within {plan.slo.latency_ms:g} ms. What counts is "
            "the mean over all requests; a dip says when it is lost."
        ),
        spec=spec(data, HEIGHTS_PX["attainment"], **_shown(plan), layer=layers),
    )


def costs(plan: Plan) -> Chart | None:
    """What a million requests cost, a bar for each policy."""
    data = series.cost_rows(plan)
    if not data:
        return None
    names = [row["name"] for row in data]
    scale = {"domain": [CHOSEN, MET, MISSED, BOUND], "range": [GREEN, BLUE, ORANGE, GREY]}
    y = field("name", None, "nominal", sort=names, axis={"labelLimit": 200})
    # Titles of axes and tooltips become code of Vega's: nothing of strangers may stand there.
    cost = "cost of a million requests"
    bar = {
        "mark": {"type": "bar"},
        "encoding": {
            "y": y,
            "x": field("cost", cost, axis={"labelOverlap": True, "tickCount": 6}),
            "color": field("meets", None, "nominal", scale=scale, legend={"columns": 2}),
            "tooltip": tip(
                name="scaled",
                cost=cost,
                times_peak="times the peak's",
                times_oracle="times the oracle's",
                percent="within the SLO, %",
                objective_ms=f"p{plan.slo.percentile:g}, ms",
            ),
        },
    }
    return Chart(
        name="costs",
        title=f"What each way to scale costs, in {_short(plan.currency)}",
        reading=(
            "Orange bars miss the SLO over the trace as a whole. The oracle knows what will come "
            "and needs no time to start machines: nothing can be cheaper."
        ),
        spec=spec(data, 60 + 28 * len(names), layer=[bar]),
    )


def function(plan: Plan) -> Chart | None:
    """The function's tail: the analytic model against the simulation."""
    data = series.function_rows(plan)
    if not data or plan.function is None:
        return None
    tail = f"p{plan.slo.percentile:g}, ms"
    bars = {
        "mark": {"type": "bar", "color": BLUE},
        "encoding": {
            "y": field("by", None, "nominal", sort=None),
            "x": field("ms", tail),
            "tooltip": tip(by="by", ms=tail),
        },
    }
    one = plan.function
    return Chart(
        name="function",
        title=f"{_short(one.name)}: the tail, by model and by simulation",
        reading=(
            f"{one.memory_mib:,} MiB, batches of up to {one.max_batch_size} after "
            f"{one.batch_timeout_ms:g} ms. Both are of the arrivals that were fitted to the trace."
        ),
        spec=spec(data, 110, layer=[bars, *rule(plan.slo.latency_ms, "x", "SLO")]),
    )


def _short(name: str) -> str:
    return series.label_of(name, 0)


def _tips(plan: Plan, **fields: str) -> list[Spec]:
    if plan.trace.began is None:
        return tip(hours="hours", **fields)
    when: Spec = {"field": "at", "type": "temporal", "title": "time", "format": "%m-%d %H:%M"}
    return [when, *tip(**fields)]
