"""Every check of this machine."""

from autotune.diagnosis import limits, load, processor
from autotune.diagnosis.finding import Finding, worst_first
from autotune.diagnosis.speed import speed
from autotune.probes.cores import usable_cores, usable_cpus
from autotune.probes.gpu_energy import gpu_energy_mj, this_nvml, visible_gpus
from autotune.traits import MachineTraits


def examine(known: MachineTraits | None = None) -> list[Finding]:
    """Look at this machine for somewhat over a second; return the findings, worst first.

    How fast it is stands among them where that is known.
    """
    cpus, cores = usable_cpus(), usable_cores()
    watched = load.watch()
    return worst_first(
        [
            load.other_load(watched, cores.usable),
            load.steal(watched.sample),
            load.wake_ups(load.lateness_s()),
            limits.quota(cores),
            limits.throttling(watched.before, watched.sample),
            limits.memory(watched.sample),
            processor.governor(cpus),
            processor.turbo(),
            processor.core_types(cpus),
            processor.smt(cpus),
            processor.numa(cpus),
            processor.virtual_machine(),
            processor.clock(),
            limits.energy(gpus_mj=gpu_energy_mj(this_nvml(), visible_gpus([]))),
            limits.network(),
            *([] if known is None else [speed(known)]),
        ]
    )
