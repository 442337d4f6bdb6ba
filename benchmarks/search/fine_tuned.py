"""Plain transfer: an agent trained on other models, and trained on with the new one.

    python -m search.fine_tuned OUTPUT.jsonl --spaces cpu --seeds 4     (from benchmarks/)

A deep Q-network of Stable-Baselines3 is trained in `autotune/Serving-v0` on the other four models
of `search.transfer`, `TRAINED` measurements in all, and then on the one that was left out,
exploring less. What its moves visit there is counted as `search.transfer` counts it, and shown with
it; that each episode begins with a measurement is forgiven.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import msgspec
import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

import autotune.gym
from autotune.paper.machines import cpu_paper, gpu_paper
from autotune.strategy.protocol import Pair
from search.race import NO_ANSWER
from search.spaces import Clock, Space, on_paper
from search.transfer import MODELS, NEAR, POINTS, RACED_ON, Transferred, reward_lost

TRAINED = 20_000
EPISODE = 32
MOST_STEPS = 3_000
"""Of fine-tuning."""


def main() -> None:
    """Train, fine-tune, and count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--spaces", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--seeds", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for race in _races(given.spaces, given.seeds):
        with given.output.open("ab") as file:
            file.write(msgspec.json.encode(race) + b"\n")
        print(f"{race.strategy} {race.model} {race.seed}: {race.measurements}", flush=True)


def _races(kind: str, seeds: int) -> Iterator[Transferred]:
    for model in range(MODELS):
        others = [_environment(kind, other) for other in range(MODELS) if other != model]
        trained = _agent(
            others[0],
            model,
            learning_starts=500,
            target_update_interval=500,
            exploration_fraction=0.6,
        )
        for env in others:
            trained.set_env(env)
            trained.learn(TRAINED // len(others), reset_num_timesteps=True)
        space = on_paper(
            cpu_paper(RACED_ON, POINTS, model) if kind == "cpu" else gpu_paper(POINTS, model)
        )
        with_weights = trained.get_parameters()
        for seed in range(seeds):
            agent = _agent(
                _environment(kind, model),
                seed,
                learning_starts=32,
                target_update_interval=100,
                exploration_initial_eps=0.3,
                exploration_final_eps=0.05,
            )
            agent.set_parameters(with_weights)
            seen = _Seen(space)
            agent.learn(MOST_STEPS, callback=seen)
            yield seen.race(kind, model, seed)


def _agent(env: gymnasium.Env[Any, Any], seed: int, **more: float) -> DQN:
    return DQN(
        "MlpPolicy",
        env,
        seed=seed,
        device="cpu",
        learning_rate=1e-3,
        batch_size=64,
        gamma=0.9,
        **more,
    )


def _environment(kind: str, model: int) -> gymnasium.Env[Any, Any]:
    machine = "paper:gpu" if kind == "gpu" else f"paper:cpu:{RACED_ON}"
    return gymnasium.make(
        autotune.gym.ID, machine=machine, model=model, points=POINTS, measurements=EPISODE
    )


class _Seen(BaseCallback):  # type: ignore[misc]  # the library has no types for it
    """What the agent visited, until its best is near the best there is at every load."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self._space, self._clock = space, Clock(space)
        self._numbers = {one.describe(): point for point, one in enumerate(space.configs)}
        self.pairs: list[Pair] = []
        self._values: dict[Pair, float] = {}
        self._regret = NO_ANSWER

    def _on_step(self) -> bool:
        (info,) = self.locals["infos"]
        load = self._space.loads_rps.index(info["load_rps"])
        pair = Pair(load, self._numbers[info["config"]])
        self.pairs.append(pair)
        if pair not in self._values:
            self._clock.spend(self._space.configs[pair.point], 1.0)
            latency_s = info["latency_s"]
            self._values[pair] = np.inf if latency_s is None else float(latency_s)
            self._regret = max(map(self._regret_at, range(len(self._space.loads_rps))))
        return self._regret > NEAR

    def _regret_at(self, load: int) -> float:
        here = {pair: value for pair, value in self._values.items() if pair.load == load}
        if not here:
            return NO_ANSWER
        return float(self._space.regret[min(here, key=here.__getitem__)])

    def race(self, kind: str, model: int, seed: int) -> Transferred:
        """Return how it went; what was measured before costs nothing again."""
        missed = sum(bool(self._space.violates[pair] != 0) for pair in self._values)
        return Transferred(
            space=kind,
            leave="model",
            strategy="dqn-fine-tuned",
            model=model,
            seed=seed,
            measurements=len(self._values) if self._regret <= NEAR else None,
            seconds=self._clock.seconds,
            made=len(self._values),
            missed=missed,
            explored=len(self._values),
            missed_exploring=missed,
            reward_lost=reward_lost(self._space, self.pairs),
            thinking_s=0.0,
        )


if __name__ == "__main__":
    main()
