"""Configurations through a server that a command reconfigures, and through ONNX Runtime's own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from promised import file_for
from told_server import Told, relu, told_server

from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.errors import ServerError, UsageError
from autotune.outcome import Measured
from autotune.records import Failed
from autotune.servers import bench as bench_module
from autotune.servers.bench import MOST_STANDING, ServerBench, is_ignored
from autotune.servers.seen import KnobSeen
from autotune.servers.target import find_target
from autotune.spec import RUNTIME_DEFAULT, Allowed, ModelSpec, ServingConfig, Slo, TrialSpec
from autotune.stages.events import Event, Said
from autotune.stages.question import Question
from autotune.stats.judge import Judge

TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
BATCHING = ServingConfig(
    intra_op_threads=1, spinning=False, max_batch_size=4, batch_timeout_ms=10.0
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return relu(tmp_path_factory.mktemp("relu"))


@pytest.fixture(scope="module")
def engine(model: Path) -> TunedFile:
    """What the engine answered."""
    return file_for(model, {"x": [1, 4]}, TWO)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with told_server(tmp_path) as one:
        yield one


def question(
    model: Path,
    engine: TunedFile,
    server: str | None,
    url: str | None = None,
    command: str | None = None,
) -> Question:
    spec = ModelSpec(path=str(model))
    return Question(
        model=spec,
        name=str(model),
        slo=Slo(latency_ms=50.0),
        traffics=[Traffic(load_rps=100.0)],
        budget_s=10.0,
        max_trials=None,
        seed=0,
        output=None,
        target=find_target(server, None, url, command, spec, Allowed()),
        engine=engine,
    )


def trial(config: ServingConfig, count: int = 50, load_rps: float = 100.0) -> TrialSpec:
    arrivals_s = [number / load_rps for number in range(count)]
    return TrialSpec(config=config, arrivals_s=arrivals_s, grace_s=0.2, order_seed=[0])


def opened(asked: Question, events: list[Event] | None = None) -> ServerBench:
    bench = ServerBench(asked, ([] if events is None else events).append)
    bench.inspect()
    return bench


def measured(bench: ServerBench, asked: TrialSpec) -> Measured:
    run = bench.measure(asked)
    assert isinstance(run, Measured), run
    return run


def test_a_server_is_told_of_each_configuration_once(
    model: Path, engine: TunedFile, told: Told
) -> None:
    with opened(question(model, engine, None, told.url, told.apply())) as bench:
        for config in (TWO, TWO, RUNTIME_DEFAULT):
            run = measured(bench, trial(config))
            assert (run.served, run.lost) == (50, 0)
            assert bench.is_warm(config)
        assert not bench.is_warm(TWO)  # only one stands at a time
        assert bench.starting_s < 3.0
        assert bench.opening_s > 0
    assert told.applied() == ["2 0", "1 1"]
    assert run.finished_s - run.started_s == pytest.approx(0.0005, abs=1e-6)
    assert (run.latency_s > 0.001).all()
    assert (run.latency_s >= run.service_s).all()


@pytest.mark.parametrize(
    ("fixed", "config", "message"),
    [
        ('["replicas", 1]', TWO, "server ignores replicas: asked for 2, but 1 run at once"),
        ('["intra_op_threads", 3]', TWO, "server ignores intra_op_threads: asked for 1, but a"),
        ('["max_batch_size", 1]', BATCHING, "ignores max_batch_size: asked for 4, but the largest"),
        ('["max_batch_size", 8]', BATCHING, "ignores max_batch_size: asked for 4, but the largest"),
    ],
)
def test_a_server_that_ignores_its_settings_is_refused(
    model: Path, engine: TunedFile, told: Told, fixed: str, config: ServingConfig, message: str
) -> None:
    with (
        opened(question(model, engine, None, told.url, told.apply(fixed))) as bench,
        pytest.raises(UsageError, match=message),
    ):
        bench.measure(trial(config))


def test_a_server_that_says_nothing_of_itself_is_measured_and_that_is_said_once(
    model: Path, engine: TunedFile, told: Told
) -> None:
    events: list[Event] = []
    command = told.apply('["silent", true]')
    with opened(question(model, engine, None, told.url, command), events) as bench:
        for config in (TWO, RUNTIME_DEFAULT):
            assert isinstance(bench.measure(trial(config)), Measured)
    said = [one.text for one in events if isinstance(one, Said)]
    assert [text for text in said if "cannot be seen" in text] == said[:1]


def test_replicas_may_be_threads_of_the_one_process_that_answers(
    model: Path, engine: TunedFile, told: Told
) -> None:
    command = told.apply('["process", 7]')
    with opened(question(model, engine, None, told.url, command)) as bench:
        assert measured(bench, trial(TWO)).lost == 0
    # Of a server whose replicas are known to be processes, one process is one replica.
    with (
        opened(question(model, engine, "litserve", told.url, command)) as bench,
        pytest.raises(UsageError, match="litserve ignores replicas: asked for 2, but 1 process"),
    ):
        bench.measure(trial(TWO))
    with opened(question(model, engine, "kserve", told.url, command)) as bench:
        assert measured(bench, trial(TWO)).lost == 0


def test_other_answers_are_no_measurement(model: Path, engine: TunedFile, told: Told) -> None:
    command = told.apply('["off_by", 0.5]')
    with opened(question(model, engine, None, told.url, command)) as bench:
        failed = bench.measure(trial(TWO))
        assert isinstance(failed, Failed)
        assert failed.kind == "wrong_output"
        assert not bench.is_warm(TWO)


def test_a_queue_that_grows_without_end_is_seen_and_the_server_begins_anew(
    model: Path, engine: TunedFile, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotune.servers.run.MOST_SENDERS", 8)
    command = told.apply('["sleep_s", 0.2]')
    with opened(question(model, engine, None, told.url, command)) as bench:
        judge = Judge(Slo(latency_ms=50.0), 400.0, stop_when=frozenset({"diverged"}))
        run = bench.measure(trial(TWO, 2000, 400.0), judge)
    assert isinstance(run, Measured)
    assert run.diverged
    assert run.duration_s < 4
    assert run.lost > 100


def test_a_command_that_fails_shows_its_last_lines_and_in_the_end_ends_the_search(
    model: Path, engine: TunedFile
) -> None:
    command = f"{sys.executable} -c \"print('no room'); raise SystemExit(3)\""
    asked = question(model, engine, None, "http://127.0.0.1:1/infer", command)
    with opened(asked) as bench:
        for config in (TWO, RUNTIME_DEFAULT):
            failed = bench.measure(trial(config))
            assert isinstance(failed, Failed)
            assert failed.kind == "load_error"
            assert "ended with exit code 3; its last lines: no room" in failed.detail
        with pytest.raises(ServerError, match="serves with none of 3 configurations"):
            bench.measure(trial(BATCHING))


def test_nobody_at_the_address_is_a_failed_start(
    model: Path, engine: TunedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotune.servers.applied.ANSWERS_WITHIN_S", 0.2)
    asked = question(model, engine, None, "http://127.0.0.1:1/infer", "true")
    with opened(asked) as bench:
        failed = bench.measure(trial(TWO))
    assert isinstance(failed, Failed)
    assert "did not answer within 0.2 s" in failed.detail


def test_servers_are_started_kept_and_the_oldest_ended(
    model: Path, engine: TunedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_module, "MOST_STANDING", 2)
    assert MOST_STANDING > 2
    one = ServingConfig(intra_op_threads=1, spinning=False)
    with opened(question(model, engine, "onnxruntime")) as bench:
        for config in (TWO, one, TWO, RUNTIME_DEFAULT):
            run = measured(bench, trial(config, 10))
        assert [bench.is_warm(config) for config in (TWO, one, RUNTIME_DEFAULT)] == [
            True,
            False,
            True,
        ]
    assert run.cpu_s > 0
    assert run.peak_memory_bytes > 10_000_000
    assert not any(map(bench.is_warm, (TWO, one, RUNTIME_DEFAULT)))


def test_what_was_not_asked_for_is_not_ignored() -> None:
    seen = KnobSeen(knob="intra_op_threads", asked="0", seen="many", effect="did not")
    assert not is_ignored(seen, RUNTIME_DEFAULT)
    assert is_ignored(seen, TWO)
    assert not is_ignored(seen, msgspec.structs.replace(TWO, provider="openvino"))
    batches = msgspec.structs.replace(seen, knob="max_batch_size")
    assert is_ignored(batches, BATCHING)
    quick = msgspec.structs.replace(BATCHING, batch_timeout_ms=0.0)
    assert not is_ignored(batches, quick)  # nothing need wait for company
    assert not is_ignored(msgspec.structs.replace(batches, effect="took effect"), BATCHING)
