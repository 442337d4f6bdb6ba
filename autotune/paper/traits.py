"""What a tool that looks at a machine and a model on paper is told of them."""

from autotune.paper import cpu_machine, gpu_machine
from autotune.paper.cpu_machine import CpuMachine, ModelOnCpu
from autotune.paper.gpu_machine import ModelOnGpu
from autotune.traits import MachineTraits, ModelTraits

CORE_GFLOPS = 40.0
"""Of one core, all others being busy. Assumed; it stands for a scale alone."""
DEVICE_GFLOPS = 14_000.0
"""Of a V100 at FP32, NVIDIA's data sheet; likewise."""
DEVICE_GBPS = 900.0
"""Likewise."""
WAKE_US = 60.0
"""Assumed."""


def cpu_traits(machine: CpuMachine, model: ModelOnCpu) -> tuple[ModelTraits, MachineTraits]:
    """Return what the model's graph and a probe of the server would tell."""
    nodes = round(model.regions)
    gbps = cpu_machine.NODE_BANDWIDTH * machine.nodes / 1e9
    return ModelTraits(
        work={"MatMul": model.work_s * CORE_GFLOPS * 1e9},
        weight_bytes=model.weight_bytes,
        activation_bytes=model.item_bytes,
        nodes=nodes,
        depth=max(1, round(nodes / (1 + (model.branches - 1) * model.branch_share))),
        batch_axes=1,
    ), MachineTraits(
        cores=machine.usable,
        core_gflops=cpu_machine.TURBO * CORE_GFLOPS,
        all_gflops=machine.cores * CORE_GFLOPS * (cpu_machine.SMT_GAIN if machine.smt else 1.0),
        core_gbps=cpu_machine.CORE_BANDWIDTH / 1e9,
        all_gbps=min(gbps, machine.cores * cpu_machine.CORE_BANDWIDTH / 1e9),
        wake_us=WAKE_US,
    )


def gpu_traits(model: ModelOnGpu) -> tuple[ModelTraits, MachineTraits]:
    """Return likewise of a model on the one GPU."""
    return ModelTraits(
        work={"MatMul": model.item_s * DEVICE_GFLOPS * 1e9},
        nodes=round(model.launches),
        depth=round(model.launches),
        batch_axes=1,
    ), MachineTraits(
        cores=gpu_machine.HOST_CORES,
        core_gflops=DEVICE_GFLOPS,
        all_gflops=DEVICE_GFLOPS * gpu_machine.HOST_CORES,
        core_gbps=DEVICE_GBPS,
        all_gbps=DEVICE_GBPS * gpu_machine.HOST_CORES,
        wake_us=WAKE_US,
    )
