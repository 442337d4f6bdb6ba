"""Tune a model here, then plan machines for two days of traffic at list prices.

    python examples/plan-a-fleet/plan_fleet.py

This machine stands in for a c7i.large: with files that were tuned on real machine types, name each
file after its type and give them all.
"""

import tempfile
from pathlib import Path

import numpy as np
from make_requests import make_arrivals

import autotune

HERE = Path(__file__).parent

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="autotune-plan-"))
    tuned = autotune.search(
        "magika:", slo_ms=60, percentile=95, budget_s=15, output=folder / "model.autotune.json"
    )
    planned = autotune.plan(
        {"c7i.large": tuned},
        trace=make_arrivals(np.random.default_rng(0)),
        prices=HERE / "prices.toml",
    )
    print(planned)
    planned.save(folder / "plan.json")
    planned.report(folder / "plan.html")
    (folder / "plan.png").write_bytes(planned.png())
    if planned.answer == "met":
        (folder / "hpa.yaml").write_text(planned.hpa())
    print(f"\nPlan, page and picture: {folder}")
