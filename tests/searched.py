"""Tuned files of searches that nobody ran: simulated queues, in interleaved rounds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from made import served_queue
from msgspec.structs import replace
from promised import TUNED

from autotune.config_file import PolicyEntry, Reference, Trial, TunedFile
from autotune.outcome import Measured, Samples
from autotune.spec import RUNTIME_DEFAULT, ServingConfig
from autotune.stats.summary import summarize

ROUNDS = 6
CHOSEN = ServingConfig(replicas=2, intra_op_threads=1)
SPREAD = 0.3
"""Of the logarithms of service times."""


class System(NamedTuple):
    """What serves: one replica each, so that a load is kept below 1 / service time."""

    chosen_ms: float = 6.0
    default_ms: float = 8.0
    cpu_ms: float = 8.0
    config: ServingConfig = CHOSEN
    minute: float = 0.0
    """Standard deviation of the machine's speed from round to round, as a share."""
    requests: int = 110
    """Of a round, on average."""


def searched(
    system: System, seed: int, loads_rps: Sequence[float] = (30.0, 80.0), speed: float = 1.0
) -> TunedFile:
    """A file of a search on a machine of which everything takes `speed` times as long."""
    rng = np.random.default_rng(seed)
    entries: list[PolicyEntry] = []
    trials: list[Trial] = []
    for load_rps in loads_rps:
        mine: list[Measured] = []
        theirs: list[Measured] = []
        for _ in range(ROUNDS):
            count = max(8, int(rng.poisson(system.requests)))
            gaps_s = rng.exponential(1 / load_rps, count)
            slow = speed * float(np.exp(system.minute * rng.standard_normal()))
            for runs, ms in ((mine, system.chosen_ms), (theirs, system.default_ms)):
                runs.append(_window(rng, gaps_s, slow * ms / 1e3, slow * system.cpu_ms / 1e3))
        if system.config == RUNTIME_DEFAULT:
            mine = theirs
        entries.append(_entry(load_rps, system.config, mine, theirs))
        trials += [_trial(load_rps, RUNTIME_DEFAULT, run) for run in theirs]
        if mine is not theirs:
            trials += [_trial(load_rps, system.config, run) for run in mine]
    windows_ms = speed * system.cpu_ms * rng.uniform(0.99, 1.03, 20)
    return replace(
        TUNED,
        policy=entries,
        trials=trials,
        recommended=system.config,
        search=replace(TUNED.search, seed=seed),
        service=None,
        trade_offs=[],
        reference=Reference(
            execution_cpu_ms=float(np.quantile(windows_ms, 0.2)),
            windows_cpu_ms=windows_ms.tolist(),
            yardstick_cpu_ms=(speed * 0.6 * rng.uniform(0.99, 1.03, 20)).tolist(),
        ),
    )


def _window(rng: np.random.Generator, gaps_s: Samples, service_s: float, cpu_s: float) -> Measured:
    count = len(gaps_s)
    services_s = service_s * np.exp(SPREAD * rng.standard_normal(count) - SPREAD**2 / 2)
    run = served_queue(np.cumsum(gaps_s), services_s)
    spent_s = count * cpu_s * float(np.exp(0.02 * rng.standard_normal()))
    return replace(run, cpu_s=spent_s)


def _trial(load_rps: float, config: ServingConfig, run: Measured) -> Trial:
    return replace(
        TUNED.trials[0],
        phase="confirm",
        load_rps=load_rps,
        config=config,
        measured=summarize([run], TUNED.slo),
        failure=None,
    )


def _entry(
    load_rps: float, config: ServingConfig, mine: list[Measured], theirs: list[Measured]
) -> PolicyEntry:
    measured = summarize(mine, TUNED.slo)
    return replace(
        TUNED.policy[0],
        load_rps=load_rps,
        config=config,
        evidence="confirmed",
        meets_slo=measured.meets_slo,
        measured=measured,
        default=summarize(theirs, TUNED.slo),
        gain=None,
        binding=None,
    )
