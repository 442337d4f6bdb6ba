"""Measuring while nobody else does, and saying so where that takes waiting."""

from collections.abc import Iterator
from contextlib import contextmanager

from autotune.probes.alone import measuring_alone
from autotune.stages.events import Observer, Said
from autotune.stages.question import Keeping


@contextmanager
def alone(keeping: Keeping, observe: Observer) -> Iterator[None]:
    """Wait for other searches on this machine, unless these are allowed to go on meanwhile."""

    def waiting(pid: int) -> None:
        text = f"waiting for process {pid}, which measures on this machine; "
        observe(Said(text=f"{text}--allow-shared measures beside it, and is disturbed by it"))

    if keeping.allow_shared:
        yield
        return
    with measuring_alone(waiting):
        yield
