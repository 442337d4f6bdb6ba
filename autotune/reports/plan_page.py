"""A plan as one self-contained HTML page: pictures and tables. No request leaves it."""

from collections.abc import Iterator
from pathlib import Path
from string import Template

from autotune.planning.records import Plan
from autotune.planning.words import NAMES
from autotune.present.document import as_html
from autotune.present.fleet import answer_lines, details
from autotune.reports.markup import escaped, figure, script_data
from autotune.reports.plan_charts import plan_charts
from autotune.units import format_duration

HERE = Path(__file__).parent


def plan_page(plan: Plan) -> str:
    """Return the whole page."""
    import vl_convert

    pictures = plan_charts(plan)
    asked, sentence, *more = (line.text for line in answer_lines(plan))
    script = (HERE / "plan_page.js").read_text()
    return Template((HERE / "plan_page.html").read_text()).substitute(
        title=escaped(f"{plan.model}: autotune plan"),
        style=(HERE / "page.css").read_text(),
        model=escaped(plan.model),
        sentence=escaped(sentence),
        more=escaped(" ".join(more)),
        asked=escaped(asked),
        pictures="\n".join(figure(chart) for chart in pictures),
        tables=as_html(details(plan)),
        facts="".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in _facts(plan)),
        specs=script_data({chart.name: chart.spec for chart in pictures}),
        script=vl_convert.javascript_bundle(script).replace("</script", "<\\/script"),
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
