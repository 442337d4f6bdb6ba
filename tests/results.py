"""Results of every kind, made without measuring."""

import json

import msgspec
import numpy as np
from made import run_of
from msgspec.structs import replace
from promised import TUNED

from autotune.arrivals import Traffic
from autotune.diagnosis.finding import Finding, finding
from autotune.outcome import Measured, ModelInfo
from autotune.servers.seen import KnobSeen, LoadSeen, Verified
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, Slo
from autotune.stages.gate import GateAnswer, GateReport
from autotune.stages.measurement import Measurement
from autotune.stages.question import MeasureQuestion
from autotune.stages.single import Runs
from autotune.stages.weigh import weigh

EVIL = "<script>alert('x')</script>&\x1b[31m\u202e\udcff"
"""A name that means harm to pages and terminals, and is no UTF-8."""
TWO = ServingConfig(replicas=2, intra_op_threads=1)


def measurement(info: ModelInfo, compared: bool = False, name: str = "model.onnx") -> Measurement:
    """One configuration at 100 requests/s, or two, of which the first is faster."""
    question = MeasureQuestion(
        model=ModelSpec(path=__file__),
        name=name,
        slo=Slo(latency_ms=50),
        traffic=Traffic(load_rps=1),
        config=TWO,
        other=RUNTIME_DEFAULT if compared else None,
        confidence=0.99,
        duration_s=60.0,
        seed=3,
    )
    rounds = 6 if compared else 1
    sides = [
        Runs(config, [_served(ms, number) for number in range(rounds)], 0.5, 12.345)
        for config, ms in zip(question.configs, (10.0, 20.0), strict=False)
    ]
    return weigh(question, info, sides)


def _served(latency_ms: float, seed: int) -> Measured:
    jitter = np.random.default_rng(seed).uniform(0.9, 1.1, 2000)
    return run_of(latency_ms / 1e3 * jitter, used=(8.0, 64 << 20))


def verified(name: str = "litserve", effect: bool = True) -> list[Verified]:
    """A server at one load, of which a knob took effect or did not."""
    promised = TUNED.policy[0].measured
    assert promised is not None
    load = LoadSeen(
        load_rps=30.0,
        requests=300,
        unanswered=0,
        p50=promised.p50,
        p95=promised.p95,
        p99=promised.p99,
        objective=promised.objective,
        slo_attainment=1.0,
        slo_verdict="undecided",
        keeps_slo=True,
        promised=promised,
        inference_ms=6.1,
        overhead_ms=1.2,
        mean_batch_size=None,
        sent_late_ms=0.1,
        errors=[] if effect else [f"{name}: refused"],
    )
    knob = KnobSeen(
        knob="replicas",
        asked="2",
        seen="2 processes answered" if effect else "1 process answered, where two had been asked",
        effect="took effect" if effect else "did not",
    )
    one = Verified(
        server=name,
        version="1.0",
        config=TWO,
        ready_after_s=2.5,
        processes=2,
        threads=9,
        overhead_ms=0.8,
        answers="equal",
        difference=None,
        knobs=[knob],
        loads=[load],
        slo=TUNED.slo,
    )
    return [one, replace(one, config=RUNTIME_DEFAULT)]


def findings(name: str = "python") -> list[Finding]:
    """Something that spoils measurements, and something that is well."""
    return [
        finding("other load", "spoils", f"Other processes use 1.5 of 2 CPUs: {name}.", "Stop it."),
        finding("quota", "ok", "No CPU quota below the 2 usable CPUs."),
    ]


def gate_report(
    answer: GateAnswer = "holds", reasons: tuple[str, ...] = ("p99 is 20 ms",)
) -> GateReport:
    entry = TUNED.policy[0]
    assert entry.measured is not None
    fields = {
        "answer": answer,
        "reasons": list(reasons),
        "next_steps": ["search again"] if answer != "holds" else [],
        "notes": [],
        "file": "model.autotune.json",
        "model": "model.onnx",
        "load_rps": 30.0,
        "slo": TUNED.slo,
        "config": entry.config,
        "stale": [],
        "promised": entry.measured,
        "measured": entry.measured,
        "default": entry.default,
        "noise_floor": {"percentile": 99.0, "ratio": 1.0, "low": 0.9, "high": 1.1},
        "against_default": None,
        "execution": {
            "file_ms": 8.0,
            "now_ms": 8.1,
            "ratio": 1.01,
            "low": 0.97,
            "high": 1.05,
            "error": 0.02,
            "machine_ratio": 1.0,
        },
        "tolerance": 0.1,
        "rounds": 8,
        "seconds": 59.0,
        "machine": TUNED.machine,
        "runtime": "onnxruntime 1.32.0",
        "autotune": "0.1.0",
    }
    plain = json.loads(msgspec.json.encode(fields))
    return msgspec.convert(plain, GateReport)
