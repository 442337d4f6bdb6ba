"""Knobs as a caller gives them, and how a mistake is told."""

from typing import Any

import pytest

from autotune.api import knobs as given
from autotune.errors import UsageError
from autotune.spec import ServingConfig

TWO = ServingConfig(replicas=2, intra_op_threads=1, max_batch_size=4, batch_timeout_ms=2.0)


def test_knobs_change_a_configuration() -> None:
    assert given.config(None) == ServingConfig()
    assert given.config(TWO, replicas=3, spinning=None) == ServingConfig(
        replicas=3, intra_op_threads=1, max_batch_size=4, batch_timeout_ms=2.0
    )


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ({"replicas": 0}, "replicas=0 must lie between 1 and 1024"),
        ({"replicas": 2.0}, "replicas=2.0 is not a whole number"),
        ({"execution_mode": "fast"}, "execution_mode='fast' is neither"),
        ({"spinning": "no"}, "spinning='no' is neither True nor False"),
        ({"batch_timeout_ms": -1}, "batch_timeout_ms=-1 must be 0 or more"),
        ({"batch_timeout_ms": 2.5}, "--batch-timeout 2.5ms has no effect"),
    ],
)
def test_knobs_out_of_range_are_refused(knobs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^{complaint}"):
        given.config(None, **knobs)
