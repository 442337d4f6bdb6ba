import time
import zlib

from autotune.engine.source import Tensors
from autotune.models.lock_share import measure_lock_share

_DATA = bytes(1 << 20)


def holds(inputs: Tensors) -> Tensors:
    """Pure Python keeps the lock."""
    end_s = time.thread_time() + 0.004
    while time.thread_time() < end_s:
        pass
    return inputs


def lets_go(inputs: Tensors) -> Tensors:
    """A checksum of a large buffer does without it."""
    for _ in range(4):
        zlib.crc32(_DATA)
    return inputs


def test_who_holds_the_lock_is_told_from_who_computes_without_it() -> None:
    held, free = (measure_lock_share([run, run], {}) for run in (holds, lets_go))
    assert held is not None
    assert free is not None
    assert 0 <= free < held <= 1
    assert held > 0.5
