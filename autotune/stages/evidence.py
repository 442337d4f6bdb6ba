"""Evidence: what a report draws and an answer does not need."""

import numpy as np

from autotune.outcome import Measured, Samples
from autotune.patterns import Trace
from autotune.records import Curve, Finalist, LatticeMap
from autotune.spec import ServingConfig
from autotune.stages.confirm import finalists
from autotune.stages.context import Context
from autotune.stages.drive import search_window_s
from autotune.stages.question import Question
from autotune.stages.survey import Ground, forecast_arrivals
from autotune.stats.summary import summarize
from autotune.strategy.protocol import Search
from autotune.units import format_shape

SHARES = np.array([0, 1, 2, *range(5, 95, 5), 95, 96, 97, 98, 98.5, 99, 99.5, 99.8, 99.9]) / 100
"""At which a distribution is written down: densely in the tail, which is what SLOs are about."""
CURVE_LOADS, CURVE_REQUESTS = 16, 2000
PAST_THE_TOP = 1.15
"""A curve goes this far beyond the highest load of the policy, so that its knee shows."""
MOST_POINTS = 2000
"""Of a larger lattice, only the measured points and those predicted to be fastest are kept."""


def all_finalists(context: Context, ground: Ground, strategy: Search) -> list[Finalist]:
    """Return everything that was measured in interleaved rounds, by load, the default first."""
    found = []
    for load, traffic in enumerate(ground.traffics):
        for config in finalists(ground, strategy, load):
            runs = context.journal.runs("confirm", traffic, config)
            if runs:
                shares, latency_ms = distribution(runs)
                found.append(
                    Finalist(
                        load_rps=traffic.load_rps,
                        config=config,
                        measured=summarize(runs, context.question.slo),
                        shares=shares,
                        latency_ms=latency_ms,
                    )
                )
    return found


def distribution(runs: list[Measured]) -> tuple[list[float], list[float]]:
    """Return shares of all offered requests, and the milliseconds within which each was answered.

    Of the shares in `SHARES` those that n requests can tell apart, and the largest latency served.
    """
    latency_ms = np.sort(np.concatenate([run.latency_s for run in runs])) * 1e3
    served = len(latency_ms)
    offered = served + sum(run.lost for run in runs)
    if not served:
        return [], []
    shares = SHARES[(SHARES * offered <= served) & ((1 - SHARES) * offered >= 1)]
    places = np.maximum(np.ceil(shares * offered).astype(int) - 1, 0)
    shares, found = (
        np.append(shares, served / offered),
        np.append(latency_ms[places], latency_ms[-1]),
    )
    return _rounded(shares), _rounded(found)


def curves(context: Context, ground: Ground, recommended: ServingConfig) -> list[Curve]:
    """Return predicted latency over load, of the recommended configuration and the default."""
    last = ground.traffics[-1]
    if isinstance(last.pattern, Trace) and not last.pattern.scaled:
        return []  # it has the load that it has
    question, top_rps = context.question, PAST_THE_TOP * last.load_rps
    loads_rps = np.linspace(top_rps / CURVE_LOADS, top_rps, CURVE_LOADS)
    configs = list(dict.fromkeys([recommended, ground.lattice.configs[0]]))
    points = np.array([ground.lattice.configs.index(config) for config in configs])
    found = []
    for load_rps in loads_rps:
        traffic = last.at(float(load_rps))
        window_s = search_window_s(traffic, context.deadline.budget_s)
        arrivals_s = forecast_arrivals(traffic, question.seed, window_s)[:CURVE_REQUESTS]
        found.append(ground.predictor.foresee(points, arrivals_s))
    return [
        Curve(
            config=config,
            loads_rps=_rounded(loads_rps),
            p50_ms=_rounded(1e3 * np.array([one.quantiles_s[place, 0] for one in found])),
            objective_ms=_rounded(1e3 * np.array([one.objective_s[place] for one in found])),
        )
        for place, config in enumerate(configs)
    ]


def lattice_map(context: Context, ground: Ground, strategy: Search) -> LatticeMap:
    """Return what is predicted of each point now, and which measured point's region it lies in."""
    configs, predicted_s = ground.lattice.configs, ground.predicted_s
    number = {config: point for point, config in enumerate(configs)}
    measured = {number[trial.config] for trial in context.journal.trials}
    regions = [strategy.regions(load) for load in range(len(ground.traffics))]
    measured |= {int(point) for row in regions for point in row if point >= 0}
    fastest = predicted_s.min(axis=0)
    fastest[sorted(measured)] = 0.0  # these first
    kept = np.sort(np.argsort(fastest, kind="stable")[: max(MOST_POINTS, len(measured))])
    place = {-1: -1} | {int(point): index for index, point in enumerate(kept)}
    shown = [configs[point] for point in kept]
    return LatticeMap(
        **{name: [getattr(c, name) for c in shown] for name in ServingConfig.__struct_fields__},
        predicted_ms=[_rounded(1e3 * row[kept]) for row in predicted_s],
        region_of=[[place[int(point)] for point in row[kept]] for row in regions],
        points_left_out=len(configs) - len(kept),
    )


def repeat_arguments(question: Question) -> list[str] | None:
    """Return arguments of `autotune measure` that bring back model, requests, arrivals and SLO.

    None where arrivals or requests came from nowhere that a command line could name, or where a
    server was measured, which `measure` does not start.
    """
    if question.target is not None:
        return None
    model, slo = question.model, question.slo
    found = [question.name, "--slo", f"{slo.latency_ms!r}ms", "--percentile", f"{slo.percentile:g}"]
    pattern = question.traffics[0].pattern if question.traffics else question.pattern
    if isinstance(pattern, Trace):
        if pattern.file is None:
            return None
        found += ["--trace", pattern.file]
    else:
        found += ["--arrivals", pattern.option()]
    if model.requests and model.requests_file is None:
        return None
    for option, value in (("--requests", model.requests_file), ("--input", model.input_file)):
        found += [option, value] if value is not None else []
    for name, shape in model.shapes.items():
        dtype = f":{model.dtypes[name]}" if name in model.dtypes else ""
        found += ["--shape", f"{name}={format_shape(shape)}{dtype}"]
    found += ["--trust-pickle"] if model.trust_pickle else []
    found += [] if model.channels_last else ["--no-channels-last"]
    return [*found, "--seed", str(question.seed)]


def _rounded(values: Samples) -> list[float]:
    """To what a picture shows."""
    return [float(f"{value:.4g}") for value in values]
