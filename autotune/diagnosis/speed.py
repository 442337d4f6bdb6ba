"""How fast this machine was found to be, for a person to hold against what it should be."""

from autotune.diagnosis.finding import Finding, finding
from autotune.traits import MachineTraits


def speed(traits: MachineTraits) -> Finding:
    """Say what the probe of the first search found."""
    found = f"One core does {traits.core_gflops:.0f} GFLOP/s and moves {traits.core_gbps:.0f} GB/s"
    if traits.cores > 1:
        both = f"{traits.all_gflops:.0f} GFLOP/s and {traits.all_gbps:.0f} GB/s"
        found += f"; all {traits.cores} together {both}"
    return finding("speed", "ok", f"{found}.")
