"""Plans are held against the steps that they foretell."""

from pathlib import Path

import msgspec
import pytest
from promised import file_for

from autotune.arrivals import Traffic
from autotune.errors import UsageError
from autotune.outcome import ModelInfo
from autotune.patterns import Poisson
from autotune.probes.cores import Cores
from autotune.space.axes import make_axes
from autotune.space.lattice import make_lattice
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, Slo
from autotune.stages import survey
from autotune.stages.confirm import MIN_ROUND_S, ROUNDS, TARGET_REQUESTS
from autotune.stages.gate_rounds import MAX_ROUNDS, MIN_ROUNDS, GateQuestion
from autotune.stages.plan import plan_gate, plan_measure, plan_search
from autotune.stages.question import DEFAULT_BUDGET_S, MeasureQuestion, Question
from autotune.stages.single import plan_rounds
from autotune.stages.survey import AUTO_LOADS, CAPACITY_LOADS
from autotune.trial.bench import Bench


@pytest.fixture
def inspected(info: ModelInfo, monkeypatch: pytest.MonkeyPatch) -> ModelInfo:
    """The model need not be loaded; four cores, and memory for seven replicas."""
    monkeypatch.setattr(Bench, "inspect", lambda bench, folder=None: info)
    monkeypatch.setattr(survey, "available_memory_bytes", lambda: 7 * info.footprint_bytes)
    monkeypatch.setattr(survey, "usable_cores", lambda: Cores(affinity=4, quota=None))
    return info


def search_question(folder: Path, **changes: object) -> Question:
    question = Question(
        model=ModelSpec(path=str(folder / "model.onnx")),
        name="model.onnx",
        slo=Slo(latency_ms=50.0),
        traffics=None,
        budget_s=None,
        max_trials=None,
        seed=3,
        output=folder / "model.autotune.json",
    )
    return msgspec.structs.replace(question, **changes)


def test_a_search_without_loads_says_how_they_are_found(
    inspected: ModelInfo, tmp_path: Path
) -> None:
    plan = plan_search(search_question(tmp_path))
    axes = make_axes(4, inspected.batchable, 50.0)
    lattice = make_lattice(
        axes, inspected.default_threads, inspected.footprint_bytes, 7 * inspected.footprint_bytes
    )
    assert (plan.configurations, plan.axes) == (len(lattice.configs), axes)
    assert len(plan.left_out) == len(lattice.excluded) > 0
    assert plan.left_out[0].startswith("8 x 1 thread: 8 replicas x 100 MiB")
    assert (plan.loads, plan.load_shares) == ([], list(AUTO_LOADS))
    assert (plan.budget_s, plan.budget_given) == (DEFAULT_BUDGET_S, False)
    assert plan.search_until_s == pytest.approx(0.4 * DEFAULT_BUDGET_S)
    assert (plan.finalists, plan.rounds) == (3, ROUNDS)
    assert not plan.replaces
    assert not (tmp_path / "model.autotune.json").exists()
    capacity = plan_search(search_question(tmp_path, objective="capacity"))
    assert capacity.load_shares == list(CAPACITY_LOADS)


@pytest.mark.usefixtures("inspected")
def test_a_search_at_given_loads_says_how_long_each_is_measured(tmp_path: Path) -> None:
    traffics = [Traffic(load_rps=load_rps) for load_rps in (20.0, 2000.0)]
    long = plan_search(search_question(tmp_path, traffics=traffics, budget_s=3600.0))
    assert [one.load_rps for one in long.loads] == [20, 2000]
    assert long.loads[0].search_window_s == pytest.approx(150 / 20)
    assert long.loads[0].confirm_window_s == pytest.approx(TARGET_REQUESTS / ROUNDS / 20)
    short = plan_search(search_question(tmp_path, traffics=traffics, budget_s=30.0))
    assert short.loads[1].confirm_window_s == MIN_ROUND_S
    assert (long.rounds_in_time, long.rounds) == (ROUNDS, ROUNDS)
    fitting = short.rounds_in_time
    assert fitting is not None
    assert fitting < ROUNDS
    spent_s = sum(one.confirm_window_s for one in short.loads) * short.finalists * fitting
    assert spent_s < 0.6 * 30


@pytest.mark.usefixtures("inspected")
def test_a_plan_finds_what_the_real_thing_would_refuse(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        plan_search(search_question(tmp_path, output=tmp_path / "none" / "x.json"))


def measure_question(model: Path, **changes: object) -> MeasureQuestion:
    question = MeasureQuestion(
        model=ModelSpec(path=str(model)),
        name="model.onnx",
        slo=Slo(latency_ms=50.0),
        traffic=Traffic(load_rps=100.0),
        config=RUNTIME_DEFAULT,
        other=None,
        confidence=0.99,
        duration_s=60.0,
        seed=0,
    )
    return msgspec.structs.replace(question, **changes)


@pytest.mark.usefixtures("inspected")
def test_a_measurement_says_how_many_requests_a_pass_takes(tmp_path: Path) -> None:
    plan = plan_measure(measure_question(tmp_path / "model.onnx"))
    assert (plan.configs, plan.rounds) == ([RUNTIME_DEFAULT], 0)
    # 500 independent requests, each judged with a caution of 1.5, beside a lead-in of a tenth.
    assert plan.pass_requests == pytest.approx(500 * 1.5 / 0.9, rel=0.1)
    assert plan.pass_requests is not None
    assert plan.pass_s == pytest.approx(plan.pass_requests / 100)
    strict = plan_measure(
        measure_question(tmp_path / "model.onnx", slo=Slo(latency_ms=50.0, percentile=99.9999))
    )
    assert strict.pass_requests is None


@pytest.mark.usefixtures("inspected")
def test_a_comparison_says_its_rounds(tmp_path: Path) -> None:
    question = measure_question(tmp_path / "model.onnx", other=ServingConfig(replicas=2))
    plan = plan_measure(question)
    assert (plan.rounds, plan.window_s) == plan_rounds(question)
    with pytest.raises(UsageError, match="too short to compare"):
        plan_measure(msgspec.structs.replace(question, duration_s=1.0))


def test_a_check_says_its_rounds_and_fits_its_budget(mlp: Path) -> None:
    tuned = file_for(mlp, {"x": [1, 256]}, ServingConfig(replicas=2, intra_op_threads=1))
    question = GateQuestion(
        tuned=tuned,
        file="mlp.autotune.json",
        model=ModelSpec(path=str(mlp), shapes={"x": [1, 256]}),
        name="mlp.onnx",
        entry=tuned.policy[0],
        pattern=Poisson(),
        stale=["another machine"],
        stale_fails=True,
        tolerance=0.1,
        budget_s=60.0,
        seed=0,
    )
    plan = plan_gate(question)
    assert [one.replicas for one in plan.configs] == [2, 2, 1]
    assert MIN_ROUNDS <= plan.rounds <= MAX_ROUNDS
    assert 40 < plan.rounds * len(plan.configs) * plan.window_s < 60
    assert (plan.stale, plan.load_rps) == (["another machine"], 50)
    with pytest.raises(UsageError, match="--budget 5s is too short"):
        plan_gate(msgspec.structs.replace(question, budget_s=5.0))
