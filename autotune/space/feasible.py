"""Why a configuration cannot be tried: a reason, not a bool."""

from autotune.spec import SessionShape


def infeasible_because(
    shape: SessionShape, footprint_bytes: int, memory_bytes: int | None, process_bytes: int = 0
) -> str | None:
    """Return why sessions of this shape must not be started; None when they may.

    Args:
        shape: the sessions.
        footprint_bytes: resident memory that one replica adds.
        memory_bytes: what may still be taken; None where unknown.
        process_bytes: that a process with the runtime takes before it has loaded the model.
    """
    own_bytes = footprint_bytes + (process_bytes if shape.replicas_as == "processes" else 0)
    needed = shape.replicas * own_bytes
    if memory_bytes is not None and needed > memory_bytes:
        return (
            f"{shape.replicas} replicas x {own_bytes / 2**20:,.0f} MiB = "
            f"{needed / 2**20:,.0f} MiB is more than the {memory_bytes / 2**20:,.0f} MiB left"
        )
    return None
