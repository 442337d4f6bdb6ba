"""A plan as a page: what to run and what it costs first, then how else it could be scaled."""

from collections.abc import Iterator, Sequence

from autotune.planning.records import (
    FunctionPlanned,
    Moment,
    Plan,
    PolicyPlanned,
    ServesUpTo,
    TypePlanned,
)
from autotune.planning.words import NAMES, count_text, moment_text, money, per_month
from autotune.present.cells import as_tone, share
from autotune.present.document import BLANK, BLOCK, Column, Document, Line, Row, Table, Tone
from autotune.units import format_duration, format_ms, format_percent, format_rps

MOST_STRETCHES = 12
"""Rows in which the trace is told."""
MOST_TYPES = 12
"""Machine types that are told of where the plan runs them or not; a list may hold hundreds."""
_LONGEST_BAR = 24
_ROOM_FOR_NAMES = 36
"""Letters of machine types that have a column each; those of more share one."""


def fleet_page(plan: Plan) -> Document:
    """Return the answer, then what it rests on."""
    return [*answer_lines(plan), BLANK, *details(plan)]


def answer_lines(plan: Plan) -> list[Line]:
    """Return what was asked, what to run, and what that costs or what would have to change."""
    chosen = _chosen(plan)
    return [
        Line(_asked(plan), "dim"),
        Line(plan.summary, as_tone(plan.answer == "met")),
        *([Line(f"-> {plan.nearest}")] if plan.nearest else []),
        *([Line(_cost(plan, chosen))] if chosen else []),
    ]


def details(plan: Plan) -> Document:
    """Return machine types, the course over time, all policies, and how sure all of it is."""
    chosen = _chosen(plan)
    return [
        _types(plan, chosen),
        *(Line(text, "dim") for text in _left_out(plan, chosen)),
        *([Line(_function(plan, plan.function))] if plan.function else []),
        BLANK,
        *(_over_time(plan, chosen) if chosen and chosen.series else ()),
        *((_policies(plan), BLANK) if plan.policies else ()),
        *(Line(text, "dim") for text in _evidence(plan)),
        *(Line(f"note: {text}") for text in _notes(plan)),
    ]


def _chosen(plan: Plan) -> PolicyPlanned | None:
    return None if plan.chosen is None else plan.policy(plan.chosen)


def _asked(plan: Plan) -> str:
    trace = plan.trace
    prices = f"prices in {plan.currency}"
    prices += f" as of {plan.prices_as_of}" if plan.prices_as_of else ""
    return (
        f"{plan.model}, SLO {plan.slo}, {trace.source}: {trace.requests:,} requests in "
        f"{format_duration(trace.seconds)}, {format_rps(trace.mean_rps)}/s on average, "
        f"{format_rps(trace.peak_rps)}/s in the busiest {format_duration(trace.step_s)}; {prices}"
    )


def _cost(plan: Plan, chosen: PolicyPlanned) -> str:
    tail = "none" if chosen.objective_ms is None else f"{format_ms(chosen.objective_ms)} ms"
    return (
        f"{money(per_month(plan, chosen), plan.currency)} for 30 days of this traffic; "
        f"p{plan.slo.percentile:g} {tail}, {format_percent(chosen.attainment)} % within the SLO."
    )


def _types(plan: Plan, chosen: PolicyPlanned | None) -> Table:
    columns = (
        Column("machine", right=False, wraps=True),
        Column("how many", right=False),
        Column("each up to"),
        Column("runs", right=False, wraps=True),
        Column(f"p{plan.slo.percentile:g} ms"),
        Column(f"{plan.currency}/h", spare=1),
        Column("a million", spare=2),
    )
    rows: list[Row] = []
    for place in _told(plan, chosen):
        one = plan.types[place]
        count = "-"
        if chosen is not None:
            count = count_text(chosen.least_machines[place], chosen.most_machines[place])
        rows += _type_rows(one, count)
    return Table(columns, rows)


def _told(plan: Plan, chosen: PolicyPlanned | None) -> list[int]:
    """Places of the types that are shown: those that run, then the cheapest others."""

    def order(place: int) -> tuple[bool, float]:
        cost = plan.types[place].cost_per_million
        runs = chosen is not None and chosen.most_machines[place] > 0
        return not runs, float("inf") if cost is None else cost

    return sorted(range(len(plan.types)), key=order)[:MOST_TYPES]


def _type_rows(one: TypePlanned, count: str) -> Iterator[Row]:
    price = f"{one.price_per_hour:.4g}"
    million = "-" if one.cost_per_million is None else money(one.cost_per_million)
    if not one.serves:
        needs = f"misses the SLO: {format_ms(one.nearest_ms)} ms when nearly idle"
        yield Row([one.name, count, "-", needs, format_ms(one.nearest_ms), price, million], "bad")
        return
    tone: Tone = "dim" if count == "0" else "plain"
    for place, level in enumerate(one.serves):
        head = [one.name, count] if not place else ["", ""]
        tail = [price, million] if not place else ["", ""]
        yield Row([*head, *_level(level), *tail], tone)


def _level(level: ServesUpTo) -> list[str]:
    return [
        f"{format_rps(level.rate_rps)}/s",
        level.config.describe(),
        format_ms(level.latency_ms),
    ]


def _left_out(plan: Plan, chosen: PolicyPlanned | None) -> Iterator[str]:
    more = len(plan.types) - len(_told(plan, chosen))
    if more > 0:
        yield f"and {more} more machine types, none of which runs or is cheaper"


def _function(plan: Plan, one: FunctionPlanned) -> str:
    batch = ""
    if one.max_batch_size > 1:
        batch = f", batches of up to {one.max_batch_size} after {one.batch_timeout_ms:g} ms"
    return (
        f"As a function: {one.name}, {one.memory_mib:,} MiB{batch}: p{one.percentile:g} "
        f"{format_ms(one.analytic_ms)} ms by the analytic model, {format_ms(one.simulated_ms)} ms "
        f"simulated; {money(one.cost_per_million, plan.currency)} a million requests; a cold start "
        f"takes {format_duration(one.cold_start_s)}."
    )


def _over_time(plan: Plan, chosen: PolicyPlanned) -> Document:
    """The chosen policy in a few stretches of the trace."""
    stretches = list(_stretches(chosen.series))
    places = [place for place, most in enumerate(chosen.most_machines) if most]
    names = [plan.types[place].name for place in places]
    together = sum(map(len, names)) > _ROOM_FOR_NAMES
    top_rps = max(one.load_rps for one in chosen.series) or 1.0
    columns = (
        Column("from" if plan.trace.began is None else "from (UTC)", right=False),
        Column("load up to"),
        Column("", right=False, bar=True, spare=1),
        *(
            [Column("machines", right=False, wraps=True)]
            if together
            else [Column(name, right=False) for name in names]
        ),
        Column("in SLO"),
    )
    rows = []
    for stretch in stretches:
        load_rps = max(one.load_rps for one in stretch)
        requests = sum(one.load_rps for one in stretch)
        within = sum(one.within * one.load_rps for one in stretch) / requests if requests else 1.0
        counts = [_counts([one.machines[place] for one in stretch]) for place in places]
        if together:
            runs = (f"{n} {name}" for n, name in zip(counts, names, strict=True) if n != "0")
            counts = [", ".join(runs)]
        bar = BLOCK * max(1, round(_LONGEST_BAR * load_rps / top_rps))
        when = moment_text(plan, stretch[0].at_s)
        rows.append(Row([when, f"{format_rps(load_rps)}/s", bar, *counts, share(within)]))
    return [Table(columns, rows), BLANK]


def _stretches(series: Sequence[Moment]) -> Iterator[Sequence[Moment]]:
    count = min(MOST_STRETCHES, len(series))
    for place in range(count):
        yield series[place * len(series) // count : (place + 1) * len(series) // count]


def _counts(machines: Sequence[int]) -> str:
    return count_text(min(machines), max(machines))


def _policies(plan: Plan) -> Table:
    columns = (
        Column("scaled", right=False, wraps=True),
        Column("a million"),
        Column("to peak", spare=1),
        Column("to oracle", spare=2),
        Column("in SLO"),
        Column(f"p{plan.slo.percentile:g} ms"),
        Column("spilled", spare=3),
        Column("SLO", right=False),
    )
    return Table(columns, [_policy_row(plan, one) for one in plan.policies])


def _policy_row(plan: Plan, one: PolicyPlanned) -> Row:
    met = "met" if one.meets_slo else "missed"
    chosen = one.kind == plan.chosen
    return Row(
        [
            NAMES[one.kind],
            money(one.cost_per_million),
            _times(one.to_peak),
            _times(one.to_oracle),
            share(one.attainment),
            "lost" if one.objective_ms is None else format_ms(one.objective_ms),
            share(one.spilled_share) if one.spilled_share else "-",
            f"{met}, chosen" if chosen else met,
        ],
        "strong" if chosen else "dim" if one.kind == "oracle" else as_tone(one.meets_slo),
    )


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"x{ratio:.2f}"


def _evidence(plan: Plan) -> Iterator[str]:
    """How the traffic was modelled, and how far off forecast and reckoning were."""
    trace, off = plan.trace, plan.aggregation
    slow, fast = (format_rps(rate) for rate in trace.phase_rps)
    if trace.phase_rps[0] != trace.phase_rps[1]:
        yield (
            f"Arrivals: {trace.dispersion:.2g} times a Poisson process's variance within "
            f"{format_duration(trace.bin_s)}; two phases, {slow}/s for "
            f"{format_duration(trace.phase_s[0])} and {fast}/s for "
            f"{format_duration(trace.phase_s[1])} on average."
        )
    if (forecast := plan.forecast) is not None:
        yield (
            f"Forecast ({forecast.model}), {format_duration(forecast.lead_s)} ahead: off by "
            f"{format_percent(forecast.error)} % of the load (the last value as it is: "
            f"{format_percent(forecast.naive_error)} %), bias {100 * forecast.bias:+.1f} %, too "
            f"low in {format_percent(forecast.under_share)} % of the steps."
        )
    if off is not None:
        yield (
            f"Reckoned with rates, fixed machines: {format_percent(off.attainment)} % within the "
            f"SLO and p99 {format_ms(off.p99_ms)} ms, where a simulation request by request of "
            f"{off.requests:,} has {format_percent(off.exact_attainment)} % and "
            f"{format_ms(off.exact_p99_ms)} ms."
        )
    elif any(any(policy.most_machines) for policy in plan.policies):
        yield "Too few requests to hold the reckoning with rates against a simulation of each."


def _notes(plan: Plan) -> list[str]:
    of_types = [f"{one.name}: {text}" for one in plan.types for text in one.notes]
    return [*plan.trace.notes, *of_types, *plan.notes]
