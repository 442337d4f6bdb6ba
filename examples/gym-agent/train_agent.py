"""Train an agent to configure a server that exists on paper, and look at where it ends up.

pip install -c constraints.txt . -r examples/gym-agent/requirements.txt
python examples/gym-agent/train_agent.py
"""

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DQN

import autotune.gym
from autotune.paper.machines import cpu_paper

CORES, POINTS, MODEL = 16, 200, 0
STEPS = 20_000
"""Each is a measurement; on paper they cost nothing."""


def make_agent(env: gymnasium.Env) -> DQN:
    """Return a small deep Q-network that explores for the first half of its training."""
    return DQN(
        "MlpPolicy",
        env,
        seed=0,
        device="cpu",
        learning_rate=1e-3,
        learning_starts=1_000,
        batch_size=64,
        gamma=0.9,
        target_update_interval=500,
        exploration_fraction=0.6,
    )


def settle(agent: DQN, env: gymnasium.Env, load_rps: float) -> tuple[autotune.ServingConfig, float]:
    """Let the agent tune one load; return where it ends, and the reward that it collects."""
    seen, _ = env.reset(seed=1, options={"load_rps": load_rps})
    total, ended = 0.0, False
    while not ended:
        action, _ = agent.predict(seen, deterministic=True)
        seen, reward, _, ended, _ = env.step(int(action))
        total += float(reward)
    serving = env.unwrapped
    assert isinstance(serving, autotune.gym.ServingEnv)
    return serving.config, total


def main() -> None:
    """Train, then tune each load."""
    env = gymnasium.make(autotune.gym.ID, machine=f"paper:cpu:{CORES}", model=MODEL, points=POINTS)
    torch.set_num_threads(1)  # so small a network only loses by more
    agent = make_agent(env)
    print(f"Training on {STEPS:,} measurements", flush=True)
    agent.learn(STEPS)
    truth = cpu_paper(CORES, POINTS, MODEL)
    configs = list(truth.configs)
    print(f"\n{truth.name}, {truth.slo}; p{truth.slo.percentile:g} in ms:")
    print("   load    default     learnt   the best   reward  the agent's configuration")
    for load, load_rps in enumerate(truth.loads_rps):
        config, reward = settle(agent, env, load_rps)
        found_ms = 1e3 * truth.true_s[load, [0, configs.index(config)]]
        best_ms = 1e3 * np.nanmin(truth.true_s[load])
        columns = "".join(f"{one:11.1f}" for one in (*found_ms, best_ms))
        print(f"{load_rps:5.0f}/s{columns}{reward:9.1f}  {config.describe()}")
    env.close()


if __name__ == "__main__":
    main()
