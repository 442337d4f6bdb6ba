"""A summary in Markdown, for a pull request."""

import re

from autotune.command_line import measure_command
from autotune.config_file import PolicyEntry, TunedFile
from autotune.present.answer import target_lines
from autotune.records import Summary
from autotune.reports.series import sides
from autotune.tabular import printable
from autotune.units import format_cores, format_ms, format_percent, format_rps

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$]|:(?=:))")


def markdown(tuned: TunedFile) -> str:
    """Return the answer, its evidence and how it was found."""
    machine, search = tuned.machine, tuned.search
    lines = [
        f"### autotune: {markdown_text(tuned.model.name)}",
        "",
        f"**{markdown_text(tuned.summary)}**",
        "",
        "| up to | configuration | p50 ms | p95 ms | p99 ms | in SLO | CPU ms | SLO |",
        "|--:|:--|--:|--:|--:|--:|--:|:--|",
        *(line for entry in tuned.policy for line in _entry(entry)),
        "",
        markdown_text(
            f"SLO {tuned.slo}, arrivals {tuned.arrivals}; {machine.cpu}, "
            f"{format_cores(machine.cores_usable)}; {tuned.runtime}, "
            f"autotune {tuned.autotune}; {len(tuned.trials)} trials in {search.seconds:g} s, "
            f"seed {search.seed}, {search.started_at}."
        ),
        *_target(tuned),
    ]
    commands = [
        measure_command(tuned, entry.config, entry.load_rps)
        for entry in tuned.policy
        if entry.meets_slo
    ]
    known = [command for command in commands if command is not None]
    if known:
        fence = "`" * (1 + max(map(len, re.findall("`+", "".join(known))), default=2))
        lines += ["", "<details><summary>Measure it again</summary>", ""]
        lines += [f"{fence}sh", *known, fence, "", "</details>"]
    return "\n".join(lines) + "\n"


def _target(tuned: TunedFile) -> list[str]:
    """Of a search through a server, what the engine's answer became there."""
    if tuned.target is None:
        return []
    lines = target_lines(tuned.target, tuned.slo.percentile)
    return ["", *(f"- {markdown_text(line.strip())}" for line in lines)]


def _entry(entry: PolicyEntry) -> list[str]:
    load = f"{format_rps(entry.load_rps)}/s"
    seen = sides(entry)
    if not seen:
        predicted = f"~{format_ms(entry.predicted_ms)} (predicted)"
        return [f"| {load} | {markdown_text(entry.config.describe())} | | | {predicted} | | | |"]
    if len(seen) == 2 and seen[0][1] == seen[1][1]:
        seen = seen[:1]  # the default itself was chosen
    return [
        f"| {load if place == 0 else ''} | {markdown_text(config.describe())} | {_cells(summary)} |"
        for place, (_, config, summary) in enumerate(seen)
    ]


def _cells(summary: Summary) -> str:
    latencies = [
        "lost" if one.value_ms is None else format_ms(one.value_ms)
        for one in (summary.p50, summary.p95, summary.p99)
    ]
    share = f"{format_percent(summary.slo_attainment)} %"
    cpu = format_ms(1e3 * summary.cpu_s_per_request)
    mark = " \\*" if summary.disturbed else ""
    return " | ".join([*latencies, share, cpu, _verdict(summary) + mark])


def _verdict(summary: Summary) -> str:
    if summary.diverged:
        return "overload"
    if summary.slo_verdict == "undecided":
        return "met?" if summary.meets_slo else "missed?"
    return summary.slo_verdict


def markdown_text(text: str) -> str:
    """Return Markdown that shows a text as it is, on one line; what steers terminals, escaped."""
    return _SPECIAL.sub(r"\\\1", printable(text))
