"""What each way to scale costs on bursty traffic, against the fleet for the peak and the oracle.

    python benchmarks/fleet_policies.py [--days 2] [--trace arrivals.csv --times 40]

The machine types, their prices and the traces are made up (`fleet_scenes.py`), after what is
published: a daily wave with phases six times as busy (MMPP), flash crowds as invocations of
functions have them, and the dispersion of requests to language models. `--trace` plays a trace of
your own, its rates by the second multiplied by `--times`.
Goals, after MArk (ATC'19): at least 7.8 times cheaper than the fleet for the peak where both keep
the SLO, and within 10 % of the oracle.
"""

import argparse
from pathlib import Path

import numpy as np
from fleet_scenes import (
    DAY_S,
    FUNCTION,
    MADE,
    Made,
    arriving,
    clustered_counts,
    crowds,
    diurnal,
    made_mixes,
    made_type,
    phases,
)
from scipy.ndimage import uniform_filter1d

from autotune.config_file import read
from autotune.planning.arriving import Arriving, read_arriving
from autotune.planning.attained import Scene
from autotune.planning.load_windows import windows_of
from autotune.planning.records import ForecastError
from autotune.planning.scaling import Played, play_all
from autotune.spec import Slo

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "v9.autotune.json"
"""Stands for the tuned files; scaling does not read it."""
SLO = Slo(latency_ms=50.0)
BIN_S = 0.5
CHEAPER, NEAR = 7.8, 1.1
SEED = 11


def traces(days: float) -> dict[str, Arriving]:
    """Return the made-up traces by name."""
    rng = np.random.default_rng(SEED)
    seconds = days * DAY_S
    busy = phases(seconds, BIN_S, (3600.0, 180.0), rng)
    rates_rps = {
        "a daily wave, no bursts": (4000 * diurnal(seconds, BIN_S, 0.7), 1.0),
        "a daily wave x MMPP phases": (3000 * diurnal(seconds, BIN_S, 0.7) * (1 + 5 * busy), 1.5),
        "the same, a tenth of the load": (300 * diurnal(seconds, BIN_S, 0.7) * (1 + 5 * busy), 1.5),
        "flash crowds, as of functions": (
            60 * diurnal(seconds, BIN_S, 0.5) + 1500 * crowds(seconds, BIN_S, 12, rng),
            2.0,
        ),
        "rare flash crowds": (
            300 * diurnal(seconds, BIN_S, 0.5) + 1500 * crowds(seconds, BIN_S, 3, rng),
            2.0,
        ),
        "clustered, as of language models": (
            200 * diurnal(seconds, BIN_S, 0.5) * (1 + 2 * phases(seconds, BIN_S, (40, 10), rng)),
            6.0,
        ),
    }
    return {
        name: arriving(clustered_counts(rate, BIN_S, d, rng), BIN_S, d, name)
        for name, (rate, d) in rates_rps.items()
    }


def play(trace: Arriving, made: tuple[Made, ...], step_s: float) -> None:
    """Play all policies on a trace, and print what came of it."""
    windows = windows_of(trace, SLO.latency_ms / 1000, step_s)
    file = read(GOLDEN)
    types = [made_type(one, SLO, windows.dispersion, file) for one in made]
    mixes = made_mixes(types, 1.3 * windows.peak_rps)
    played, forecast = play_all(Scene(windows, types, SLO), mixes, FUNCTION)
    mean_rps = windows.requests / (windows.steps * windows.step_s)
    print(
        f"\n## {trace.source}\n\n"
        f"{windows.requests:,} requests, {mean_rps:.0f} rps in the mean, "
        f"{windows.step_loads_rps.max():.0f} rps in the busiest step of {windows.step_s:g} s, "
        f"dispersion {windows.dispersion:.1f}."
    )
    if forecast is not None:
        tell_forecast(forecast)
    tell(played, windows.requests)


def tell_forecast(error: ForecastError) -> None:
    """Print how far off the forecast was, and the last value as control."""
    better = "better than" if error.error < error.naive_error else "no better than"
    print(
        f"Forecast {error.lead_s:g} s ahead: off by {error.error:.1%}, {better} the last value "
        f"({error.naive_error:.1%}); bias {error.bias:+.1%}, too little in "
        f"{error.under_share:.0%} of the steps."
    )


def tell(played: list[Played], requests: int) -> None:
    """Print a row a policy, and whether the goals are reached."""
    by = {one.kind: one for one in played}
    peak, oracle = by["peak"], by["oracle"]
    print(
        "\n| policy | a million | cheaper than peak | of the oracle's | within | p99 | settings |"
    )
    print("|---|---|---|---|---|---|---|")
    for one in played:
        settings = ", ".join(f"{name} {value:.4g}" for name, value in one.settings.items())
        print(
            f"| {one.kind} | {one.cost.per_million(requests):.3f} "
            f"| {peak.cost.total / one.cost.total:.2f} x "
            f"| {one.cost.total / oracle.cost.total:.2f} "
            f"| {one.attained.attainment:.2%}{'' if one.meets(SLO.quantile) else ' (missed)'} "
            f"| {1000 * one.attained.p99_s:.0f} ms | {settings} |"
        )
    best = min(
        (one for one in played if one.kind != "oracle" and one.meets(SLO.quantile)),
        key=lambda one: one.cost.total,
    )
    cheaper, near = peak.cost.total / best.cost.total, best.cost.total / oracle.cost.total
    print(
        f"\n{best.kind}: {cheaper:.1f} times cheaper than the peak's fleet "
        f"({said(cheaper >= CHEAPER)}; the oracle: {peak.cost.total / oracle.cost.total:.1f}) with "
        f"{best.attained.attainment:.2%} within the SLO, the peak's "
        f"{peak.attained.attainment:.2%}; {near:.2f} of the oracle ({said(near <= NEAR)})."
    )


def said(reached: bool) -> str:
    """Return whether a goal is reached, in words."""
    return "goal reached" if reached else "goal not reached"


def crowded(trace: Arriving, times: int) -> Arriving:
    """Return a trace as so many times the users would make it: rates of a second, times so many."""
    width = max(1, round(1.0 / trace.bin_s))
    rates_rps = uniform_filter1d(trace.counts / trace.bin_s, width) * times
    rng = np.random.default_rng(SEED)
    counts = clustered_counts(rates_rps, trace.bin_s, trace.dispersion, rng)
    return arriving(counts, trace.bin_s, trace.dispersion, f"{trace.source}, {times} times")


def main() -> None:
    """Play all policies on all traces."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    if given.trace:
        play(crowded(read_arriving(given.trace, "--trace"), given.times), MADE, 30.0)
        return
    made = traces(given.days)
    for trace in made.values():
        play(trace, MADE, 30.0)
    name = "a daily wave x MMPP phases"
    quick = tuple(one._replace(start_s=5.0, minimum_s=0.0) for one in MADE)
    print("\nWhat is lost to the start of machines: the same where they start in 5 s")
    play(made[name]._replace(source=f"{name}, machines start in 5 s"), quick, 5.0)


if __name__ == "__main__":
    main()
