"""What would be measured and for how long, as a page: see `--dry-run`."""

from collections.abc import Iterable

from autotune.present.document import BLANK, Column, Document, Line, Row, Table
from autotune.servers.plan import VerifyPlan
from autotune.stages.plan import GatePlan, MeasurePlan, PlannedModel, SearchPlan
from autotune.strategy.plugins import BUILT_IN
from autotune.units import format_duration, format_ms, format_rps

AnyPlan = SearchPlan | MeasurePlan | GatePlan | VerifyPlan
MOST_LEFT_OUT = 5
"""Lines; memory that is short may leave out hundreds."""
Pair = tuple[str, str]


def plan_page(found: AnyPlan) -> Document:
    """Return a table of what stands in the plan, and that nothing was done."""
    columns = [Column("", right=False), Column("", right=False, wraps=True)]
    return [
        Table(columns, [Row(pair) for pair in plan_rows(found)]),
        BLANK,
        Line("Dry run: nothing was measured, nothing was written.", "dim"),
    ]


def plan_rows(found: AnyPlan) -> list[Pair]:
    """Return what the plan says and of what, line by line."""
    match found:
        case SearchPlan():
            return _search_rows(found)
        case MeasurePlan():
            return _measure_rows(found)
        case GatePlan():
            return _gate_rows(found)
        case VerifyPlan():
            return _verify_rows(found)


def _search_rows(found: SearchPlan) -> list[Pair]:
    goal = {
        "latency": f"the lowest p{found.slo.percentile:g} at each load",
        "capacity": "the highest load within the SLO",
        "cpu": "the least CPU time within the SLO",
        "cores": "the fewest cores within the SLO",
        "energy": "the least energy within the SLO",
    }[found.objective]
    safe, by = "", "" if found.strategy == BUILT_IN else f"; by the strategy {found.strategy}"
    if found.max_risk is not None:
        safe = f"; only what misses it with less than {100 * found.max_risk:g} % chance"
    if found.incumbent:
        safe += f"; starting from {', or '.join(one.describe() for one in found.incumbent)}"
    return [
        ("to find", f"{goal}; SLO {found.slo}{safe}{by}"),
        *_target_rows(found),
        *_model_rows(found.model),
        ("configurations", _configurations(found)),
        *_left_out(found.left_out),
        *_load_rows(found),
        ("arrivals", f"{found.arrivals}, seed {found.seed}"),
        *_time_rows(found),
        *_output_rows(found),
    ]


def _target_rows(found: SearchPlan) -> list[Pair]:
    if found.target is None:
        return []
    then = "first the engine itself, then the server from its answer, with the budget each"
    return [("through", f"{found.target}: {then}")]


def _output_rows(found: SearchPlan) -> list[Pair]:
    if found.output is None:
        return []
    return [("to write", f"{found.output}{', in place of the one there' * found.replaces}")]


def _configurations(found: SearchPlan) -> str:
    axes = found.axes
    parts = [
        f"replicas {_list(axes.replicas)}",
        f"intra-op threads {_list(axes.intra_op_threads)}",
    ]
    if axes.inter_op_threads:
        parts.append(f"inter-op threads {_list(axes.inter_op_threads)} in parallel execution")
    if len(axes.max_batch_sizes) > 1:
        parts.append(f"batches of up to {_list(axes.max_batch_sizes)}")
        parts.append(f"batch timeouts {_list(axes.batch_timeouts_ms)} ms")
    can = axes.abilities
    for what, values in (
        ("replicas as", can.replicas_as),
        ("forms", can.forms),
        ("providers", can.providers),
    ):
        if len(values) > 1:
            parts.append(f"{what} {', '.join(values)}")
    if can.devices:
        gpus = "a GPU" if can.devices == 1 else f"up to {can.devices} GPUs"
        parts = [*parts[2:], f"streams on {gpus}"]
    parts += ["copies overlapped or not"] if can.overlap else []
    parts += ["CUDA graphs or not"] if can.cuda_graphs else []
    cores = f"{found.cores} usable core{'s' if found.cores > 1 else ''}"
    return f"{found.configurations:,} for {cores}: {'; '.join(parts)}"


def _left_out(reasons: list[str]) -> list[Pair]:
    more = len(reasons) - MOST_LEFT_OUT
    shown = [*reasons[:MOST_LEFT_OUT], *([f"and {more} more"] if more > 0 else [])]
    return [("left out" if not number else "", text) for number, text in enumerate(shown)]


def _load_rows(found: SearchPlan) -> list[Pair]:
    if not found.loads:
        shares = _list(round(100 * share) for share in found.load_shares)
        return [("loads", f"about {shares} % of what the profile says that the machine sustains")]
    return [("loads", _loads(one.load_rps for one in found.loads))]


def _time_rows(found: SearchPlan) -> list[Pair]:
    budget = format_duration(found.budget_s)
    loads = len(found.loads) or len(found.load_shares)
    search = f"profile and search, until settled or {format_duration(found.search_until_s)}"
    if found.loads:
        each = _durations(one.search_window_s for one in found.loads)
        search += f"; {each} for a configuration"
    if found.max_trials is not None:
        search += f"; at most {found.max_trials} measurements"
    runs = found.finalists * loads * found.rounds
    confirm = (
        f"confirmation: {found.finalists} configurations at most x {loads} "
        f"load{'s' if loads > 1 else ''} x {found.rounds} rounds = {runs} runs"
    )
    if found.loads:
        confirm += f" of {_durations(one.confirm_window_s for one in found.loads)}"
    if found.rounds_in_time is not None and found.rounds_in_time < found.rounds:
        confirm += f"; if the search takes all its time, {found.rounds_in_time} fit: raise --budget"
    given = "" if found.budget_given else ", by the model's speed; --budget sets it"
    return [("time", f"at most about {budget}{given}"), ("", search), ("", confirm)]


def _durations(seconds: Iterable[float]) -> str:
    """Return durations by load, or the one that all loads have."""
    texts = [format_duration(one) for one in seconds]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _measure_rows(found: MeasurePlan) -> list[Pair]:
    first, *others = found.configs
    if others:
        time_row = (
            f"at most about {format_duration(found.duration_s)}: {found.rounds} rounds of "
            f"{len(found.configs)} windows of {format_duration(found.window_s)}"
        )
    else:
        time_row = f"at most {format_duration(found.duration_s)}, less where a verdict ends it"
    if found.pass_requests is None or found.pass_s is None:
        least = "a PASS takes more than a million requests"
    else:
        least = (
            f"a PASS at {100 * found.confidence:g} % takes at least about "
            f"{found.pass_requests:,} requests within the SLO: {format_duration(found.pass_s)} here"
        )
    return [
        ("to measure", f"{first.describe()} at {format_rps(found.load_rps)}/s; SLO {found.slo}"),
        *[("beside", one.describe()) for one in others],
        *_model_rows(found.model),
        ("arrivals", f"{found.arrivals}, seed {found.seed}"),
        ("time", time_row),
        ("", least),
    ]


def _gate_rows(found: GatePlan) -> list[Pair]:
    mine, _, *default = found.configs
    beside = f", beside {default[0].describe()}" if default else ""
    sides = len(found.configs)
    return [
        ("to check", f"{mine.describe()} at {format_rps(found.load_rps)}/s; SLO {found.slo}"),
        ("promised by", found.file),
        *[("stale", reason) for reason in found.stale],
        *_model_rows(found.model),
        ("arrivals", f"{found.arrivals}, seed {found.seed}"),
        ("tolerance", f"{100 * found.tolerance:g} % more CPU time an execution"),
        (
            "time",
            f"at most about {format_duration(found.budget_s)}: {found.rounds} rounds of {sides} "
            f"windows of about {format_duration(found.window_s)}: it twice{beside}",
        ),
    ]


def _verify_rows(found: VerifyPlan) -> list[Pair]:
    where = f"at {found.url}" if found.url else f"started with {found.python}"
    times = "" if len(found.servers) == 1 or found.url else f", {len(found.servers)} times"
    start = "" if found.url else f", and up to {format_duration(found.ready_within_s)} for a start"
    return [
        ("to verify", f"{found.server}, {where}{times}; SLO {found.slo}"),
        ("model", found.model),
        *[
            ("with" if not number else "", f"{one.config.describe()} at {_loads(one.loads_rps)}")
            for number, one in enumerate(found.servers)
        ],
        ("first", f"answers compared, {found.alone_requests} requests one at a time, a burst"),
        ("arrivals", f"{found.arrivals}, seed {found.seed}"),
        (
            "time",
            f"{format_duration(found.seconds)} of load: {format_duration(found.warm_up_s)} to "
            f"warm up and {format_duration(found.duration_s)} at each{start}",
        ),
    ]


def _model_rows(model: PlannedModel) -> list[Pair]:
    batch = "can be batched" if model.batchable else "no batching"
    check = "outputs are checked" if model.outputs_checked else "outputs cannot be checked"
    return [
        ("model", model.name),
        (
            "",
            f"loads in {format_duration(model.load_s)}, answers in {format_ms(model.run_ms)} ms, "
            f"{model.replica_bytes / 2**20:,.0f} MiB a replica",
        ),
        ("", f"{batch}: {model.batch_reason}; {check}: {model.outputs_reason}"),
        ("request", model.request),
    ]


def _loads(loads_rps: Iterable[float]) -> str:
    return ", ".join(f"{format_rps(load_rps)}/s" for load_rps in loads_rps)


def _list(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
