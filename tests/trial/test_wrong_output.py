"""Configurations that change answers: refused by the bench, in words."""

from pathlib import Path

import numpy as np
import onnx.parser
import pytest

from autotune.arrivals import Traffic, draw
from autotune.engine.source import Tensors
from autotune.models.replicas import NONE
from autotune.models.sample_inputs import RequestMix
from autotune.models.saved_outputs import SavedOutputs, save_outputs
from autotune.outcome import Measured, ModelInfo, TrialOutcome
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, TrialSpec
from autotune.trial import sessions as sessions_module
from autotune.trial.bench import Bench
from autotune.trial.sessions import Sessions, WrongOutputError

ONE = ServingConfig(intra_op_threads=1)
TWO = ServingConfig(replicas=2, intra_op_threads=1)
PAIRS = ServingConfig(intra_op_threads=1, max_batch_size=2)
EIGHTS = ServingConfig(intra_op_threads=1, max_batch_size=8)


def measured(bench: Bench, config: ServingConfig) -> TrialOutcome:
    arrivals_s = draw(Traffic(load_rps=100), 0.1, (1,))
    return bench.measure(TrialSpec(config=config, arrivals_s=arrivals_s.tolist(), grace_s=1.0))


def inspected(path: Path) -> ModelInfo:
    """Inspect the model, and see that it can be measured after that."""
    with Bench(ModelSpec(path=str(path))) as bench:
        info = bench.inspect()
        assert isinstance(measured(bench, TWO), Measured)
    return info


def written(folder: Path, graph: str) -> Path:
    """Save a model given in ONNX's own text syntax."""
    head = '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 1]>'
    path = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(f"{head} g {graph}"), str(path))
    return path


LIAR = """(float[batch, 16] x) => (float[batch, 16] y)
    <int64 zero = {0}, int64 four = {4}>
    {
        shape = Shape(x)
        rows = Gather(shape, zero)
        many = Greater(rows, four)
        lie = Cast<to = 1>(many)
        y = Add(x, lie)
    }"""
"""Right in batches of up to four, wrong by one beyond."""


def test_a_batch_size_that_changes_answers_fails_when_first_tried(tmp_path: Path) -> None:
    with Bench(ModelSpec(path=str(written(tmp_path, LIAR)))) as bench:
        assert bench.inspect().batchable
        assert isinstance(measured(bench, PAIRS), Measured)
        outcome = measured(bench, EIGHTS)
        assert isinstance(outcome, Failed)
        assert outcome.kind == "wrong_output"
        assert "in a batch of 8, output 'y' differs by 1 (tolerance 0.05" in outcome.detail
        assert isinstance(measured(bench, PAIRS), Measured)


def test_sessions_whose_answers_are_not_the_defaults_are_refused(mlp: Path) -> None:
    with Bench(ModelSpec(path=str(mlp))) as bench:
        bench.inspect()
        assert bench._outputs is not None
        outputs = Path(bench._outputs.name)
        assert isinstance(measured(bench, ONE), Measured)
        saved = SavedOutputs(outputs)
        references = [saved[index] for index in range(len(saved))]
        references[-1]["y"][0, 0] += 0.1 * np.abs(references[-1]["y"]).max()
        save_outputs(outputs, references)
        outcome = measured(bench, TWO)
        assert isinstance(outcome, Failed)
        assert outcome.kind == "wrong_output"
        assert outcome.detail.startswith("output 'y' differs by")
    assert not outputs.exists()


def test_random_answers_are_not_checked_and_not_batched(tmp_path: Path) -> None:
    graph = "(float[batch, 16] x) => (float[batch, 16] y) { y = RandomNormalLike(x) }"
    info = inspected(written(tmp_path, graph))
    assert not info.outputs_checked
    assert "change from run to run: output 'y' differs by" in info.outputs_reason
    assert not info.batchable


def test_a_scalar_is_checked_but_not_batched(tmp_path: Path) -> None:
    graph = "(float[batch, 16] x) => (float y) { y = ReduceSum<keepdims = 0>(x) }"
    info = inspected(written(tmp_path, graph))
    assert info.outputs_checked
    assert "is a scalar, so a batch cannot be split" in info.batch_reason


@pytest.mark.parametrize(
    "graph",
    [
        "(string[batch, 2] x) => (string[batch, 2] y) { y = Identity(x) }",
        "(float16[batch, 8] x) => (float16[batch, 8] y) { y = Softmax(x) }",
        "(float[batch, 2] x) => (seq(map(string, float)) y)"
        ' { y = ai.onnx.ml.ZipMap<classlabels_strings = ["cat", "dog"]>(x) }',
    ],
    ids=["texts", "half precision", "maps"],
)
def test_other_types_of_outputs_are_checked_and_batched(tmp_path: Path, graph: str) -> None:
    info = inspected(written(tmp_path, graph))
    assert info.outputs_checked
    assert info.batchable


def test_a_sequence_is_left_out_of_the_check_by_name(tmp_path: Path) -> None:
    graph = """(float[batch, 4] x) => (float[batch, 4] y, seq(float[n, 4]) parts)
        { y = Identity(x) parts = SequenceConstruct(x, x) }"""
    info = inspected(written(tmp_path, graph))
    assert info.outputs_checked
    assert info.outputs_reason == "all but 'parts', which cannot be compared"
    assert info.batch_reason == "output 'parts' is no tensor, so a batch cannot be split"


def same(inputs: Tensors) -> Tensors:
    return inputs


def one_more(inputs: Tensors) -> Tensors:
    return {"x": inputs["x"] + 1}


def sessions_of(folder: Path) -> tuple[Sessions, SavedOutputs]:
    sessions = Sessions(log_descriptor=-1)
    samples: list[Tensors] = [{"x": np.full((1, 2), number)} for number in (1.0, 2.0, 3.0)]
    sessions.mix = RequestMix(samples, kinds=[0] * 3, weights=[1.0])
    save_outputs(folder, samples)
    return sessions, SavedOutputs(folder)


def test_every_replica_is_checked(tmp_path: Path) -> None:
    sessions, references = sessions_of(tmp_path)
    sessions.replicas = NONE._replace(infers=[same, same, one_more])
    with pytest.raises(WrongOutputError, match="output 'x' differs by 1"):
        sessions._check_alone(references, ModelSpec(path="m.onnx"))


def test_smaller_batches_are_checked_once_and_while_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, references = sessions_of(tmp_path)
    sizes: list[int] = []

    def counting(inputs: Tensors) -> Tensors:
        sizes.append(len(inputs["x"]))
        return inputs

    sessions.replicas = NONE._replace(infers=[counting])
    sessions._check_batches(references, 4)
    sessions._check_batches(references, 8)
    assert sizes == [4, 3, 8, 7]
    monkeypatch.setattr(sessions_module, "CHECK_MAX_S", -1.0)
    sessions._check_batches(references, 16)
    assert sizes == [4, 3, 8, 7, 16]
