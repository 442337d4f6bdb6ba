"""Write arrivals.csv: one minute of uploads to a made-up service, the same at every run.

    python examples/recorded-trace/make_arrivals.py

A stand-in for what your own access log holds. A day's curve is squeezed into the minute:
quiet, a busy middle, quiet again. People do not upload one file but a folder, so requests come in
bursts: visits are a Poisson process, and each brings as many files as a geometric law says.
"""

from pathlib import Path

import numpy as np

SECONDS = 60.0
BUSIEST_VISITS_PER_S = 13.0
QUIETEST = 0.2
"""Share of the busiest rate that is left at night."""
FILES_PER_VISIT = 5.0
UPLOAD_GAP_S = 0.004
"""Mean time between two files of a visit."""


def make_arrivals(rng: np.random.Generator) -> list[float]:
    """Return the seconds at which requests arrive, ascending."""
    arrivals: list[float] = []
    # Visits at the busiest rate, of which the curve keeps its share (Lewis and Shedler 1979).
    for visit_s in rng.uniform(0.0, SECONDS, rng.poisson(BUSIEST_VISITS_PER_S * SECONDS)):
        if rng.random() < QUIETEST + (1 - QUIETEST) * np.sin(np.pi * visit_s / SECONDS) ** 2:
            gaps_s = rng.exponential(UPLOAD_GAP_S, rng.geometric(1 / FILES_PER_VISIT) - 1)
            arrivals += [visit_s, *(visit_s + np.cumsum(gaps_s))]
    return sorted(arrivals)


if __name__ == "__main__":
    arrivals = make_arrivals(np.random.default_rng(0))
    path = Path(__file__).with_name("arrivals.csv")
    path.write_text("".join(["seconds\n", *(f"{arrival_s:.3f}\n" for arrival_s in arrivals)]))
    print(f"{len(arrivals)} arrivals, {len(arrivals) / SECONDS:.1f} requests/s on average: {path}")
