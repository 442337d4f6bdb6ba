"""Write requests.csv: two made-up days of a service, the same at every run.

    python examples/plan-a-fleet/make_requests.py requests.csv

A stand-in for what your own access log holds: quiet nights, busy afternoons, and now and then a
spell of minutes in which several times as many people come.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

HOURS = 48
BEGAN = datetime(2026, 11, 2, tzinfo=UTC)
QUIETEST_RPS, BUSIEST_RPS = 4.0, 30.0
SPELLS, SPELL_S, SPELL_TIMES = 6, 240.0, 6.0
"""Of many people: how many, how long, and how many times as many as usual."""


def make_arrivals(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the seconds since 1970 at which requests arrive, shape (requests,), ascending."""
    seconds = np.arange(HOURS * 3600)
    wave = (1 - np.cos(2 * np.pi * (seconds / 86_400 - 0.125))) / 2
    rates_rps = QUIETEST_RPS + (BUSIEST_RPS - QUIETEST_RPS) * wave**2
    for began_s in rng.uniform(0, HOURS * 3600 - SPELL_S, SPELLS):
        rates_rps[int(began_s) : int(began_s + SPELL_S)] *= SPELL_TIMES
    each = rng.poisson(rates_rps)
    times_s = np.repeat(seconds, each) + rng.random(each.sum())
    return BEGAN.timestamp() + np.sort(times_s)


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "requests.csv")
    arrivals_s = make_arrivals(np.random.default_rng(0))
    np.savetxt(path, arrivals_s, "%.3f", header="arrival_s", comments="")
    print(f"{len(arrivals_s):,} requests in {HOURS} h: {path}")
