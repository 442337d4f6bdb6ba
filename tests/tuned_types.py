"""Tuned files of made-up machine types: one service model at different speeds."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from autotune import config_file
from autotune.config_file import PolicyEntry, TunedFile
from autotune.service import ConfigTimes, ServiceModel
from autotune.spec import ServingConfig, Slo

GOLDEN = Path(__file__).parent / "golden" / "v9.autotune.json"
BATCH_S = {1: 0.008, 2: 0.010, 4: 0.014, 8: 0.022}
"""Of one execution at speed 1: one replica answers 125 requests/s alone, 364 in batches of 8."""
SMALL = ServingConfig(replicas=1, intra_op_threads=1, spinning=False)
LARGE = ServingConfig(
    replicas=1, intra_op_threads=1, spinning=False, max_batch_size=8, batch_timeout_ms=2.0
)
LOADS_RPS = (60.0, 200.0)
"""Of the policy at speed 1: `SMALL` up to the first, `LARGE` up to the second."""


@cache
def golden() -> TunedFile:
    """Return the file that stands for all of its version."""
    return config_file.read(GOLDEN)


def made_service(speed: float = 1.0) -> ServiceModel:
    """Return the times of `SMALL`, `LARGE` and the runtime's default, `speed` times as fast."""
    kept = golden().service
    assert kept is not None
    batch_s = [seconds / speed for seconds in BATCH_S.values()]
    times = [
        ConfigTimes(
            config=config, batch_s=batch_s, crowding=[1.0], calm_busy=1, rests=0, open_s=0.03
        )
        for config in (SMALL, LARGE, ServingConfig())
    ]
    return msgspec.structs.replace(kept, configs=times)


def made_type(
    speed: float = 1.0, slo: Slo | None = None, service: ServiceModel | None = None
) -> TunedFile:
    """Return a tuned file of a machine so fast, with nothing measured.

    Args:
        speed: of its executions; the loads of its policy grow with it.
        slo: of the search; None: p99 <= 50 ms.
        service: of its executions, of the configurations above; None: that of the speed.
    """
    policy = [
        PolicyEntry(
            load_rps=load_rps * speed,
            config=config,
            evidence="predicted",
            meets_slo=True,
            predicted_ms=20.0,
            measured=None,
            default=None,
            gain=None,
            binding=None,
        )
        for load_rps, config in zip(LOADS_RPS, (SMALL, LARGE), strict=True)
    ]
    return msgspec.structs.replace(
        golden(),
        slo=slo or golden().slo,
        recommended=LARGE,
        policy=policy,
        trials=[],
        finalists=[],
        front=[],
        curves=[],
        trade_offs=[],
        service=service or made_service(speed),
    )


def made_types(speeds: Sequence[float], slo: Slo | None = None) -> Mapping[str, TunedFile]:
    """Return such files by name, `m0`, `m1` and so on, one a speed."""
    return {f"m{place}": made_type(speed, slo) for place, speed in enumerate(speeds)}
