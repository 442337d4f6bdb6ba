"""A tuned file, and the question whether it holds."""

from pathlib import Path

from msgspec.structs import replace

from autotune import config_file, model_file
from autotune.config_file import TunedFile
from autotune.patterns import Poisson
from autotune.probes.machine import this_machine
from autotune.spec import ModelSpec, ServingConfig, Slo
from autotune.stages.gate_rounds import GateQuestion
from autotune.stages.reference import cost_windows, reference_of
from autotune.target_info import ANY_SERVER, TargetInfo, TargetLoad
from autotune.trial.bench import Bench

GOLDEN = Path(__file__).parent / "golden" / "v9.autotune.json"
TUNED = config_file.read(GOLDEN)
(ENTRY,) = (one for one in TUNED.policy if one.load_rps == 160)


def through_server(tuned: TunedFile = TUNED, url: str | None = None) -> TunedFile:
    """The same file as if it had been measured through a server, 1.5 x as slow as the engine."""
    loads = []
    for entry in tuned.policy:
        assert entry.measured is not None
        own = entry.measured.objective
        assert own.value_ms is not None
        engine = replace(own, value_ms=own.value_ms / 1.5)
        loads.append(
            TargetLoad(
                load_rps=entry.load_rps, config=entry.config, engine=engine, server=own, best=own
            )
        )
    info = TargetInfo(
        server="litserve" if url is None else ANY_SERVER,
        version="0.2.19" if url is None else None,
        url=url,
        not_carried=["replicas_as: each is a process"],
        loads=loads,
    )
    return replace(tuned, target=info, lesson=None, service=None, repeat=None)


def question(
    tuned: TunedFile = TUNED, stale: tuple[str, ...] = (), stale_fails: bool = True
) -> GateQuestion:
    return GateQuestion(
        tuned=tuned,
        file="model.autotune.json",
        model=ModelSpec(path="model.onnx"),
        name="model.onnx",
        entry=ENTRY,
        pattern=Poisson(),
        stale=list(stale),
        stale_fails=stale_fails,
        tolerance=0.1,
        budget_s=60.0,
        seed=0,
    )


def file_for(
    model: Path, shapes: dict[str, list[int]], config: ServingConfig, load_rps: float = 50.0
) -> TunedFile:
    """A file that a search here might have written for the model, with a generous SLO.

    What an execution costs is measured; what a load comes to is not known.
    """
    spec = ModelSpec(path=str(model), shapes=shapes)
    with Bench(spec) as bench:
        info = bench.inspect()
        reference = reference_of(cost_windows(bench, 10))
    entry = replace(
        TUNED.policy[0], load_rps=load_rps, config=config, measured=None, default=None, gain=None
    )
    identity = replace(
        TUNED.model,
        name=str(model),
        sha256=model_file.sha256(model),
        inputs=info.inputs,
        request_shapes=info.sample_shapes,
        request_source=info.sample_source,
        batchable=info.batchable,
    )
    return replace(
        TUNED,
        recommended=config,
        policy=[entry],
        slo=Slo(latency_ms=2000.0),
        model=identity,
        machine=this_machine(),
        runtime=info.runtime,
        reference=reference,
        service=None,
        trade_offs=[],
    )
