"""Whole searches through servers: the engine's answer first, then the server's."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import file_for
from told_server import relu, told_server

from autotune import config_file, tune
from autotune.cli.app import run
from autotune.config_file import TunedFile
from autotune.servers import through
from autotune.servers.target import find_target
from autotune.spec import Allowed, ModelSpec, ServingConfig, Slo
from autotune.stages.question import Keeping, Question

TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
BATCHING = ServingConfig(intra_op_threads=1, spinning=False, max_batch_size=4, batch_timeout_ms=2.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return relu(tmp_path_factory.mktemp("relu"))


@pytest.fixture(scope="module")
def engine(model: Path) -> TunedFile:
    """What the engine answered: batches, of which a plain session knows nothing."""
    return file_for(model, {"x": [1, 4]}, BATCHING, load_rps=40.0)


def question(model: Path, engine: TunedFile | None, store: Path, budget_s: float) -> Question:
    spec = ModelSpec(path=str(model))
    return Question(
        model=spec,
        name=str(model),
        slo=Slo(latency_ms=100.0),
        traffics=None,
        budget_s=budget_s,
        max_trials=2,
        seed=0,
        output=None,
        keeping=Keeping(store=store, allow_shared=True),
        target=find_target("onnxruntime", None, None, None, spec, Allowed()),
        engine=engine,
    )


def test_the_engine_is_asked_first_and_then_the_server(
    model: Path, engine: TunedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, of = question(model, None, tmp_path / "store.sqlite", 6.0), list[Question]()

    def search(one: Question, *rest: object) -> TunedFile:
        of.append(one)
        return engine

    monkeypatch.setattr(tune, "search", search)
    through.search(asked)
    through.search(asked.of_engine)
    assert [one.target for one in of] == [None, asked.target, None]
    assert [one.engine for one in of] == [None, engine, None]


def test_an_engine_that_was_interrupted_is_no_start(
    model: Path, engine: TunedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = replace(engine, status="interrupted")
    monkeypatch.setattr(tune, "search", lambda *asked: interrupted)
    with pytest.raises(KeyboardInterrupt):
        through.search(question(model, None, tmp_path / "store.sqlite", 6.0))


@pytest.mark.slow
def test_a_server_that_a_command_reconfigures_is_searched_from_the_command_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "relu.autotune.json"
    with told_server(tmp_path) as told:
        arguments = ["search", str(model), "--slo", "50ms", "--load", "40", "--budget", "9s"]
        given = ["--url", told.url, "--apply", told.apply(), "-o", str(output), "--allow-shared"]
        assert run([*arguments, *given]) in (0, 1)
        out = capsys.readouterr().out
        assert f"Measured through server at {told.url}" in out
        tuned = config_file.read(output)
        assert tuned.target is not None
        assert len(told.applied()) >= 2
        (load,) = tuned.target.loads
        assert load.server is not None
        # What ignores its settings is refused, in one line.
        given[3] = told.apply('["replicas", 1]')
        assert run([*arguments, *given]) == 2
    assert "ignores replicas: asked for 2, but 1 run at once" in capsys.readouterr().err
