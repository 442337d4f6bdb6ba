"""A check's result as CI services read it: JUnit XML, GitHub's annotations and step summary.

Sources: the JUnit schema as Jenkins and GitLab read it; GitHub's "Workflow commands".
"""

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from autotune.present.gate import SAYS
from autotune.reports.markdown import markdown_text
from autotune.tabular import printable
from autotune.units import format_ms, format_percent, format_rps

if TYPE_CHECKING:
    from autotune.records import Summary
    from autotune.stages.gate import GateReport

_LEVELS = {"holds": "notice", "undecided": "warning"}


def title(report: "GateReport") -> str:
    """Return the verdict in one line."""
    return f"autotune check {report.file}: {SAYS[report.answer]}"


def junit_xml(report: "GateReport") -> str:
    """Return a suite with one case: passed, failed, or, where undecided, an error."""
    bad = report.answer != "holds"
    undecided = report.answer == "undecided"
    suite = ElementTree.Element(
        "testsuite",
        name="autotune check",
        tests="1",
        failures=str(int(bad and not undecided)),
        errors=str(int(undecided)),
        time=f"{report.seconds:.1f}",
    )
    name = f"{printable(report.model)} at {format_rps(report.load_rps)} requests/s"
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=printable(report.file),
        name=name,
        time=f"{report.seconds:.1f}",
    )
    if bad:
        kind = "error" if undecided else "failure"
        found = ElementTree.SubElement(case, kind, type=report.answer, message=SAYS[report.answer])
        found.text = "\n".join(map(printable, [*report.reasons, *report.next_steps]))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def github_annotation(report: "GateReport") -> str:
    """Return a workflow command that shows the verdict on the run's page."""
    level = _LEVELS.get(report.answer, "error")
    text = "; ".join([*report.reasons, *report.next_steps])
    return f"::{level} title={_property(title(report))}::{_data(text)}"


def github_summary(report: "GateReport") -> str:
    """Return Markdown for the step's summary."""
    rows = [("measured", report.measured), ("runtime default", report.default)]
    if report.promised is not None:
        rows.insert(0, ("promised", report.promised))
    percentile = f"p{report.slo.percentile:g}"
    said = [*report.reasons, *report.next_steps, *report.notes]
    lines = [
        f"### {markdown_text(title(report))}",
        "",
        *(f"- {markdown_text(text)}" for text in said),
        "",
        markdown_text(
            f"{report.model} at {format_rps(report.load_rps)} requests/s, SLO {report.slo}, "
            f"{report.config.describe()}"
        ),
        "",
        f"| | p50 ms | {percentile} ms | within the SLO | CPU ms |",
        "|---|---|---|---|---|",
        *(_row(name, one) for name, one in rows if one is not None),
    ]
    if report.execution is not None:
        change = report.execution
        lines += [
            "",
            f"One execution: {change.now_ms:.3g} ms of CPU time, {change.file_ms:.3g} ms in the "
            f"file (x{change.ratio:.2f} [{change.low:.2f}-{change.high:.2f}]).",
        ]
    return "\n".join(lines) + "\n"


def _row(name: str, one: "Summary") -> str:
    cells = [
        name,
        format_ms(one.p50.value_ms),
        format_ms(one.objective.value_ms),
        f"{format_percent(one.slo_attainment)} %",
        format_ms(1e3 * one.cpu_s_per_request),
    ]
    return f"| {' | '.join(cells)} |"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
