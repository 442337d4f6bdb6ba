"""What a search, a check and a measurement tell while they run, made by hand."""

from collections.abc import Sequence

import msgspec
from made import run_of
from msgspec.structs import replace

from autotune.cli.live_state import State, begin, take
from autotune.outcome import ModelInfo
from autotune.records import Failed, Summary
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, Slo
from autotune.stages.events import (
    Doing,
    Event,
    Inspected,
    Loading,
    Looked,
    Predicted,
    Profiled,
    Said,
    Standing,
    Started,
    Tried,
)
from autotune.stats.summary import summarize
from autotune.trial.wire import Opening

SLO = Slo(latency_ms=50)
LOADS_RPS = [30.0, 120.0, 180.0, 230.0]
TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
BATCHED = msgspec.structs.replace(TWO, max_batch_size=4, batch_timeout_ms=2.5)
LONG = ServingConfig(
    replicas=2,
    intra_op_threads=16,
    inter_op_threads=16,
    execution_mode="parallel",
    max_batch_size=128,
    batch_timeout_ms=12.5,
)
BAD = Failed(kind="crash", detail="it \x1b[31mdied\x1b[0m\nof a long and winding reason \u754c" * 3)


def summary_of(latency_ms: float, **changes: object) -> Summary:
    """Of 400 requests around this latency, some of them slower."""
    latency_s = [latency_ms / 1e3 * (1 + 0.3 * (i % 100 == 99) + i % 7 / 100) for i in range(400)]
    return replace(summarize([run_of(latency_s)], SLO), **changes)


def searching(
    info: ModelInfo, name: str = "models/\u6a21\u578b\t-resnet50-v1-12.onnx"
) -> list[Event]:
    """A search at four loads: everything that may happen, within 80 s."""
    return [
        Loading(name=name, slo=SLO, bytes=2_100_000_000),
        Inspected(info=info, cores=2),
        Said(text="left out: 8 x 2 threads: too large"),
        Started(step="profiling", ends_in_s=75.0),
        Doing(what="profile: 1 x 1 thread"),
        Opening(opened=0, of=1),
        Opening(opened=1, of=1),
        Profiled(label="1 x 1 thread", median_ms=8.01),
        Started(step="predicting", ends_in_s=70.0),
        Predicted(
            loads_rps=LOADS_RPS,
            configs=[RUNTIME_DEFAULT, TWO, BATCHED, LONG],
            predicted_ms=[10.0, 22.6, 50.4, 97_000.0],
            points=403,
            sustainable_rps=199.0,
            ends_in_s=69.0,
        ),
        Started(step="searching", ends_in_s=69.0),
        *tried("search", 30.0, RUNTIME_DEFAULT, summary_of(10.5), standings=standing(0)),
        *tried("search", 120.0, TWO, summary_of(20.5), standings=standing(1)),
        *tried("search", 180.0, LONG, BAD, standings=standing(1)),
        *tried("search", 180.0, BATCHED, summary_of(49.0), standings=standing(2)),
        *tried("search", 230.0, LONG, summary_of(900.0, diverged=True), standings=standing(3)),
        Started(step="confirming", ends_in_s=40.0),
        Said(text="runs of 2 s are shorter than one cycle", warning=True),
        *confirmed(30.0, RUNTIME_DEFAULT, summary_of(11.0), ends_in_s=24.0),
        *confirmed(30.0, TWO, summary_of(12.0), ends_in_s=23.0),
        *confirmed(120.0, TWO, summary_of(21.0), ends_in_s=22.0),
        *confirmed(120.0, RUNTIME_DEFAULT, summary_of(55.0), ends_in_s=21.0),
        *confirmed(230.0, RUNTIME_DEFAULT, summary_of(1e6, diverged=True)),
        Said(text="out of time after 3 of 6 rounds: raise --budget", warning=True),
    ]


def standing(known: int) -> tuple[Standing, ...]:
    """The best of the first loads, and one more."""
    best = [RUNTIME_DEFAULT, TWO, BATCHED, LONG][: known + 1]
    found = [Standing(best=config, doubt=0.6 / (1 + known)) for config in best]
    return (*found, *[Standing(best=None, doubt=None)] * (len(LOADS_RPS) - len(best)))


def tried(
    phase: str,
    load_rps: float,
    config: ServingConfig,
    result: Summary | Failed,
    standings: tuple[Standing, ...] = (),
) -> list[Event]:
    """A measurement with its beginning, for which two sessions are opened."""
    told = Tried(
        phase="search",
        load_rps=load_rps,
        config=config,
        predicted_ms=25.0,
        result=result,
        best=config,
        ends_in_s=60.0,
        standings=standings,
    )
    return [
        Doing(what=f"{phase} {load_rps:g}/s: {config.describe()}", seconds=2.6),
        Opening(opened=0, of=2),
        Opening(opened=1, of=2),
        Opening(opened=2, of=2),
        told,
    ]


def confirmed(
    load_rps: float, config: ServingConfig, result: Summary, ends_in_s: float = 20.0
) -> list[Event]:
    """The third of six rounds."""
    *before, last = tried("confirm", load_rps, config, result)
    assert isinstance(last, Tried)
    round_three = {"phase": "confirm", "best": None, "round_number": 3, "rounds": 6}
    return [*before, replace(last, **round_three, so_far=result, ends_in_s=ends_in_s)]


def measuring() -> list[Event]:
    """One configuration, looked at twice."""
    return [
        Loading(name="magika:", slo=SLO, bytes=3_160_000),
        Started(step="measuring 2 x 1 thread", ends_in_s=60.0),
        Doing(what="measuring at 100/s", seconds=60.0),
        Looked(elapsed_s=3.0, requests=290, over=1, decision="go_on"),
        Looked(elapsed_s=3.5, requests=1290, over=40, decision="failed"),
    ]


def checking() -> list[Event]:
    """What a file promises, and the default beside it, in one round."""
    events = [
        *confirmed(160.0, TWO, summary_of(20.0)),
        *confirmed(160.0, RUNTIME_DEFAULT, summary_of(40.0)),
    ]
    as_check = [
        replace(event, phase="check") if isinstance(event, Tried) else event for event in events
    ]
    return [Loading(name="magika:", slo=SLO, bytes=3_160_000), *as_check]


def known_after(events: Sequence[Event], each_s: float = 1.0) -> State:
    """What is known after events that come one a second."""
    state = begin(0.0)
    for number, event in enumerate(events):
        state = take(state, event, each_s * number)
    return state
