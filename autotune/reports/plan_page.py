"""A plan as one self-contained HTML page: pictures and tables. No request leaves it."""

from collections.abc import Iterator

from autotune.planning.records import Plan
from autotune.planning.words import NAMES
from autotune.present.fleet import answer_lines, details
from autotune.reports.frame import Head
from autotune.reports.plan_charts import plan_charts
from autotune.reports.tables_page import Words, tables_page
from autotune.units import format_duration

STYLE = """\
#load, #machines, #attainment { grid-column: 1 / -1; }
#machines .vega-bindings, #attainment .vega-bindings { display: none; }
th:nth-child(3), td:nth-child(3) { text-align: right; }"""


def plan_page(plan: Plan) -> str:
    """Return the whole page."""
    asked, sentence, *more = (line.text for line in answer_lines(plan))
    return tables_page(
        Words(
            Head("autotune plan", plan.model, sentence, " ".join(more), asked),
            tables="The plan",
            facts="Trace and prices",
        ),
        plan_charts(plan),
        details(plan),
        dict(_facts(plan)),
        STYLE,
    )


def _facts(plan: Plan) -> Iterator[tuple[str, str]]:
    trace = plan.trace
    began = "" if trace.began is None else f", from {trace.began} on"
    yield "Trace", f"{trace.source}: {format_duration(trace.seconds)}{began}"
    prices = plan.prices_source or "the price list"
    yield "Prices", f"{prices}{f', as of {plan.prices_as_of}' if plan.prices_as_of else ''}"
    for one in plan.types:
        off = f"measured latencies are {one.correction:.2f} times the simulated ones"
        start = f"{format_duration(one.start_s)} to start"
        yield one.name, f"{one.file}; {start}; {off}, which are scaled by that"
    for policy in plan.policies:
        if policy.settings:
            settings = (f"{name} {value:g}" for name, value in policy.settings.items())
            yield f"Scaled {NAMES[policy.kind]}", ", ".join(settings)
    yield "Made by", f"autotune {plan.autotune}"
