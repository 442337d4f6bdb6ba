"""The environment: Gymnasium's own checks, what is paid and said, and mistakes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from searched import CHOSEN
from serving_envs import POINTS, made, recorded
from serving_envs import tuned as searched_file

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.gym import ServingEnv
from autotune.gym.on_paper import NOISE
from autotune.paper.cpu_machine import draw_model
from autotune.paper.gpu_machine import draw_model as draw_gpu_model
from autotune.paper.machines import cpu_paper
from autotune.spec import RUNTIME_DEFAULT
from autotune.stats.reward import reward
from autotune.store.database import SearchRow, Store

UP, DOWN = 1, 2


def some_actions(env: ServingEnv, count: int, seed: int) -> list[int]:
    last = len(env.layout[3:-4]) * 2
    return [int(one) for one in np.random.default_rng(seed).integers(last + 1, size=count)]


def action(env: ServingEnv, axis: str, way: int) -> int:
    return 2 * env.axes.index(axis) + way


def walk(env: ServingEnv, seed: int, steps: int = 12) -> list[Any]:
    observation, info = env.reset(seed=seed)
    seen = [observation.tolist(), info["load_rps"]]
    for one in some_actions(env, steps, seed):
        observation, earned, *_, info = env.step(one)
        seen += [observation.tolist(), earned, info["config"], info["latency_s"]]
    return seen


@pytest.fixture(scope="module")
def tuned() -> TunedFile:
    return searched_file()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recorded(tmp_path)


# What Gymnasium asks of it.


@pytest.mark.parametrize("machine", ["paper:cpu:4", "paper:gpu"])
def test_gymnasiums_checker_has_no_complaint_on_paper(machine: str) -> None:
    check_env(made(machine=machine))


def test_nor_in_a_replay(recording: Path) -> None:
    check_env(made(machine=recording, model=None))


def test_a_name_alone_finds_it_in_a_fresh_interpreter() -> None:
    code = (
        "import gymnasium\n"
        "env = gymnasium.make('autotune.gym:autotune/Serving-v0', machine='paper:cpu:2', points=20)"
        "\nprint(env.reset(seed=0)[1]['config'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "runtime default\n"


def test_importing_autotune_needs_no_gymnasium_and_the_room_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "import autotune, autotune.paper.machines, autotune.stats.reward\n"
        "import autotune.gym"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "ImportError: gymnasium is not installed: pip install 'autotune[gym]'"


def test_a_seed_is_an_episode_and_another_one_is_another() -> None:
    assert walk(made(), 3) == walk(made(), 3)
    assert walk(made(), 3) != walk(made(), 4)
    env = made()
    assert walk(env, 3) == walk(env, 3)


def test_an_episode_is_truncated_and_never_goes_on() -> None:
    env = made(measurements=3)
    with pytest.raises(UsageError, match=r"call reset\(\)"):
        env.step(0)
    env.reset(seed=0)
    ends = [env.step(0)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(UsageError, match=r"has ended"):
        env.step(0)


# What is seen, said and paid.


def test_a_measurement_on_paper_is_the_truth_but_for_noise() -> None:
    paper, env = cpu_paper(4, POINTS, 0), made(measurements=400)
    assert env.ground.loads_rps == tuple(paper.loads_rps)
    env.reset(seed=0, options={"load_rps": paper.loads_rps[1]})
    errors = []
    for one in some_actions(env, 400, 0):
        _, earned, _, _, info = env.step(one)
        true_s = paper.true_s[1, list(paper.configs).index(env.config)]
        errors.append(np.log(info["latency_s"] / true_s))
        assert earned == reward(info["latency_s"], paper.slo.latency_ms / 1e3)
    assert np.std(errors) == pytest.approx(NOISE, rel=0.2)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.3 * NOISE)


def test_what_fails_is_paid_nothing_and_says_why() -> None:
    env = made(machine="paper:gpu")
    largest = max(env.ground.configs, key=lambda one: one.replicas * one.max_batch_size)
    env.reset(options={"config": largest})
    observation, earned, _, _, info = env.step(0)
    assert earned == 0.0
    assert info["latency_s"] is None
    assert "memory" in info["failure"]
    assert observation[env.layout.index("log2 latency/SLO, 0 ago")] == 10.0


def test_the_observation_says_load_place_and_the_last_latencies_latest_first() -> None:
    env = made(measurements=10)
    busy_rps = env.ground.loads_rps[1]
    first, _ = env.reset(seed=0, options={"load_rps": busy_rps})
    at = dict(zip(env.layout, first.tolist(), strict=True))
    assert at["log10 load"] == pytest.approx(np.log10(busy_rps))
    assert at["share of sustained"] == pytest.approx(0.6, rel=0.05)
    assert at["left"] == 1.0
    assert (at["replicas"], at["intra_op"], at["max_batch"]) == (0.0, 1.0, 0.0)
    slo_s = env.ground.slo.latency_ms / 1e3
    latencies_s = []
    for _ in range(6):
        observation, *_, info = env.step(action(env, "max_batch", UP))
        latencies_s.append(info["latency_s"])
    seen = observation[env.layout.index("log2 latency/SLO, 0 ago") :]
    assert seen == pytest.approx(np.log2(np.array(latencies_s[:-5:-1]) / slo_s), rel=1e-5)
    at = dict(zip(env.layout, observation.tolist(), strict=True))
    assert at["max_batch"] == 1.0
    assert at["left"] == pytest.approx(0.4)


def test_a_move_that_leads_nowhere_stays_measures_and_says_so() -> None:
    env = made()
    env.reset(seed=0)
    below = action(env, "replicas", DOWN)
    _, earned, _, _, info = env.step(below)
    assert info["refused"] == "there is no such configuration"
    assert env.config == RUNTIME_DEFAULT
    assert earned > 0
    assert info["action_mask"][below] == 0
    _, _, _, _, info = env.step(action(env, "replicas", UP) if info["action_mask"][1] else 0)
    assert info["refused"] == ""


def test_masked_sampling_is_never_refused() -> None:
    env = made(measurements=60)
    _, info = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(60):
        _, _, _, _, info = env.step(env.action_space.sample(info["action_mask"]))
        assert info["refused"] == ""


def test_a_model_of_ones_own_runs_on_paper_and_is_simulated_once() -> None:
    model = msgspec.structs.replace(draw_model(0), work_s=0.5)
    slow = made(machine="paper:cpu:2", model=model)
    assert slow.ground.slo.latency_ms == pytest.approx(2000)
    assert made(machine="paper:cpu:2", model=model).ground.configs is slow.ground.configs
    on_gpu = made(machine="paper:gpu", model=draw_gpu_model(0)).ground
    assert on_gpu.slo == made(machine="paper:gpu").ground.slo


def test_it_renders_as_a_line() -> None:
    env = made(render_mode="ansi")
    env.reset(seed=0, options={"load_rps": env.ground.loads_rps[0]})
    assert str(env.render()).endswith("/s  runtime default  nothing measured")
    env.step(0)
    assert str(env.render()).endswith(" ms")
    assert made().render() is None


# Replays.


def test_a_replay_gives_what_was_measured_and_moves_among_that(
    recording: Path, tuned: TunedFile
) -> None:
    env = made(machine=recording, model=None, measurements=200)
    known: dict[tuple[float, str], set[float | None]] = {}
    for trial in tuned.trials:
        value_ms = None if trial.measured is None else trial.measured.objective.value_ms
        value_s = None if value_ms is None else value_ms / 1e3
        known.setdefault((trial.load_rps, trial.config.describe()), set()).add(value_s)
    assert env.ground.loads_rps == (30.0, 80.0)
    seen: dict[tuple[float, str], set[float | None]] = {}
    for load_rps in (30.0, 80.0):
        _, info = env.reset(seed=int(load_rps), options={"load_rps": load_rps})
        assert env.config == RUNTIME_DEFAULT
        env.action_space.seed(0)
        for _ in range(200):
            _, _, _, _, info = env.step(env.action_space.sample(info["action_mask"]))
            seen.setdefault((load_rps, info["config"]), set()).add(info["latency_s"])
    assert seen == known


def test_a_replay_refuses_to_go_where_nothing_was_measured(recording: Path) -> None:
    env = made(machine=str(recording), model=None, loads_rps=80)
    _, info = env.reset(seed=0)
    assert env.ground.loads_rps == (80.0,)
    batching = action(env, "max_batch", UP)  # measured at 30/s alone
    assert info["action_mask"][batching] == 0
    _, _, _, _, info = env.step(batching)
    assert info["refused"].startswith("nothing further in this direction was measured")
    env.step(action(env, "replicas", UP))
    assert env.config == CHOSEN


def test_the_store_is_replayed_by_its_latest_search_that_came_to_its_end(
    recording: Path, tuned: TunedFile, tmp_path: Path
) -> None:
    path, row = tmp_path / "store.sqlite", SearchRow("then", "me", "{}", "/m.onnx", "{}")
    older = msgspec.structs.replace(tuned, trials=tuned.trials[:1])
    with Store(path) as store:
        for answer in (config_file.to_json(older), config_file.to_json(tuned), None):
            store.update(store.begin(row), row._replace(answer=answer))
    stored, file = (made(machine=one, model=None) for one in (path, recording))
    assert stored.ground.configs == file.ground.configs
    assert walk(stored, 5) == walk(file, 5)


# Live.


@pytest.fixture
def live(mlp: Path) -> Iterator[ServingEnv]:
    env = made(machine="here", model=mlp, slo_ms=50, percentile=95, loads_rps=200)
    yield env
    env.close()


def test_here_each_step_is_a_measurement_and_closing_ends_all_processes(live: ServingEnv) -> None:
    observation, info = live.reset(seed=0)
    assert observation in live.observation_space
    assert info["config"] == "runtime default"
    move = int(np.flatnonzero(info["action_mask"])[1])  # the first is to stay
    for one in (0, move):
        observation, earned, _, _, info = live.step(one)
        assert observation in live.observation_space
        assert 0 < info["latency_s"] < np.inf
        assert earned == reward(info["latency_s"], 0.050)
    assert not live.config.is_default
    children = _children()
    assert children
    live.close()
    assert not children & _children()


def _children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


# Mistakes.
