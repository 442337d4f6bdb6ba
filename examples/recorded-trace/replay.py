"""Tune for arrivals that were recorded, and for as many requests a second that know no rhythm.

pip install -c constraints.txt . magika
python examples/recorded-trace/replay.py
"""

import math
import tempfile
from pathlib import Path

import autotune

MODEL = "magika:"
TRACE = Path(__file__).with_name("arrivals.csv")
SLO_MS = 150


def replay(config: autotune.ServingConfig) -> float:
    """Measure a configuration under the recorded arrivals; return its p99 in ms."""
    found = autotune.measure(MODEL, slo_ms=SLO_MS, trace=TRACE, config=config, duration_s=5)
    # None: so many requests were given up that there is no p99.
    return found.record.sides[0].summary.p99.value_ms or math.inf


def promise(tuned: autotune.Tuned) -> str:
    """Return what a search says of its one load: the p99, the highest load within the SLO."""
    (entry,) = tuned.file.policy
    p99_ms = entry.predicted_ms if entry.measured is None else entry.measured.p99.value_ms
    return f"{p99_ms or math.inf:12.1f}{tuned.file.search.sustainable_rps:18.0f}"


def main() -> None:
    """Tune twice, then replay the trace against both answers."""
    folder = Path(tempfile.mkdtemp(prefix="autotune-trace-"))
    print(f"== As recorded in {TRACE.name}", flush=True)
    recorded = autotune.search(
        MODEL,
        slo_ms=SLO_MS,
        trace=TRACE,
        budget_s=24,
        output=folder / "recorded.autotune.json",
        progress=True,
    )
    mean_rps = recorded.file.policy[0].load_rps
    print(f"{recorded}\n\n== As many, {mean_rps:.1f} a second, but Poisson", flush=True)
    poisson = autotune.search(
        MODEL,
        slo_ms=SLO_MS,
        loads_rps=mean_rps,
        budget_s=10,
        output=folder / "poisson.autotune.json",
        progress=True,
    )
    print(f"{poisson}\n", flush=True)
    configs = dict.fromkeys([recorded.config(), poisson.config()])
    replayed_ms = {config: replay(config) for config in configs}
    print("tuned for    p99 promised  SLO met up to/s  p99 replayed  configuration")
    for name, tuned in (("recorded", recorded), ("Poisson", poisson)):
        config = tuned.config()
        print(f"{name:<13}{promise(tuned)}{replayed_ms[config]:14.1f}  {config.describe()}")
    print(f"\nBoth files: {folder}")


if __name__ == "__main__":
    main()
