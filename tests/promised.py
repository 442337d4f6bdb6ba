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
from autotune.trial.bench import Bench

GOLDEN = Path(__file__).parent / "golden" / "v8.autotune.json"
TUNED = config_file.read(GOLDEN)
(ENTRY,) = (one for one in TUNED.policy if one.load_rps == 160)


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
