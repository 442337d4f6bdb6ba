"""Why a configuration cannot be tried: a reason, not a bool."""

from autotune.spec import SessionShape


def infeasible_because(
    shape: SessionShape, footprint_bytes: int, memory_bytes: int | None
) -> str | None:
    """Return why sessions of this shape must not be started; None when they may.

    Args:
        shape: the sessions.
        footprint_bytes: resident memory that one replica adds.
        memory_bytes: what may still be taken; None where unknown.
    """
    needed = shape.replicas * footprint_bytes
    if memory_bytes is not None and needed > memory_bytes:
        return (
            f"{shape.replicas} replicas x {footprint_bytes / 2**20:,.0f} MiB = "
            f"{needed / 2**20:,.0f} MiB is more than the {memory_bytes / 2**20:,.0f} MiB left"
        )
    return None
