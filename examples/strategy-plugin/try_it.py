"""Tune one model by the strategy that this package brings, and by autotune's own."""

import tempfile
from pathlib import Path

import autotune

SLO_MS, LOADS_RPS, BUDGET_S = 50.0, (20, 60), 25.0


def main() -> None:
    """Search twice and print what each found."""
    folder = Path(tempfile.mkdtemp(prefix="autotune-strategy-"))
    print(f"{'strategy':10}{'load':>6}{'p99 ms':>8}{'measured':>10}  configuration")
    for strategy in ("rrl", "annealing"):
        tuned = autotune.search(
            "magika:",
            slo_ms=SLO_MS,
            loads_rps=LOADS_RPS,
            budget_s=BUDGET_S,
            strategy=strategy,
            store=folder / "store.sqlite",
            output=folder / f"{strategy}.autotune.json",
        )
        for entry in tuned.file.policy:
            tried = [trial.phase == "search" for trial in tuned.file.trials]
            p99_ms = None if entry.measured is None else entry.measured.objective.value_ms
            shown = "-" if p99_ms is None else f"{p99_ms:.1f}"
            print(
                f"{strategy:10}{entry.load_rps:>6.0f}{shown:>8}{sum(tried):>10}  "
                f"{entry.config.describe()}"
            )
    print(f"\nBoth files: {folder}")


if __name__ == "__main__":
    main()
