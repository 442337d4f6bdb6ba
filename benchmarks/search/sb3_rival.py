"""Stable-Baselines3's DQN as a rival: an agent that moves on the lattice."""

import math
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from autotune.stats.reward import reward
from search.kernel_tuner_rival import Randomness, Seam
from search.rival_base import Lattice, Place, Remembering, load_library, unravel

EPISODE = 32
ENDLESS = 1_000_000
EXPLORES = 3_000
"""Moves in which the share of random ones falls from 1 to `RANDOM`."""
RANDOM = 0.1


class Sb3Rival(Remembering):
    """Deep Q-learning (Mnih et al. 2015, doi 10.1038/nature14236) on a lattice of places.

    The environment is that of `autotune.gym`, but for what only a tuner knows: the agent sees where
    it is and the latest value, moves by one value of one axis, and is paid `autotune.stats.reward`,
    where the first value that it is told stands for the SLO. It never stays, which would tell it
    nothing. Episodes of 32 moves begin in turn at the best place known and at a random one; a move
    into a place that fails, or off the lattice, leaves it where it was.

    Of its defaults, which are for millions of steps, these are changed for hundreds: it learns from
    the 32nd move on, four times as often, at a higher rate, with a shorter horizon and memory.
    """

    patience: ClassVar[int] = 200

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Load the library; the agent starts at the first ask."""
        super().__init__(lattice, seed)
        load_library("stable_baselines3")
        self._seam = Seam()
        self._random = _RandomnessWithTorch(seed)
        axes = [axis for axis, length in enumerate(self.shape) if length > 1]
        # An agent on a lattice without axes has no move; its one place is drawn.
        self._train: Callable[[], None] | None = None
        if axes:
            self._train = _make_training(_make_environment(self.shape, axes, self._seam), seed)
        self._waiting: Place | None = None
        # Without a reference to the rival, or it would never be collected, nor its thread end.
        weakref.finalize(self, self._seam.tell, None)

    def propose(self) -> Place | None:
        """Let the agent move up to the next place it looks at."""
        waiting, self._waiting = self._waiting, None
        with self._random.in_place():
            if self._train is not None:
                self._seam.start(self._train)
                self._train = None
            elif waiting is None:
                return None
            else:
                score = self._scores.get(waiting)
                self._seam.tell(math.inf if score is None else score)
            self._waiting = self._seam.next_place()
        return self._waiting

    def learn(self, place: Place, score: float) -> None:
        """The agent is told when it moves on."""


class _RandomnessWithTorch:
    """The global generators, torch's included, as this rival left them; and torch's threads."""

    def __init__(self, seed: int) -> None:
        self._torch = load_library("torch")
        self._others = Randomness(seed)
        self._state = self._torch.Generator().manual_seed(seed).get_state()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        with self._others.in_place():
            before, threads = self._torch.get_rng_state(), self._torch.get_num_threads()
            self._torch.set_rng_state(self._state)
            self._torch.set_num_threads(1)  # so small a network only loses by more
            try:
                yield
            finally:
                self._state = self._torch.get_rng_state()
                self._torch.set_rng_state(before)
                self._torch.set_num_threads(threads)


class _OverError(Exception):
    """The race is over."""


def _make_environment(shape: Place, axes: list[int], seam: Seam) -> Any:
    gymnasium = load_library("gymnasium")
    last = np.array([shape[axis] - 1 for axis in axes])

    class Environment(gymnasium.Env):  # type: ignore[misc, name-defined]
        """A lattice whose places the race measures."""

        observation_space = gymnasium.spaces.Box(-10.0, 10.0, (len(axes) + 1,), np.float32)
        action_space = gymnasium.spaces.Discrete(2 * len(axes))

        def __init__(self) -> None:
            self._place: Place = ()
            self._best: tuple[float, Place] | None = None
            self._first: float | None = None
            self._episode, self._moves, self._score = 0, 0, 0.0

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
            super().reset(seed=seed)
            self._episode, self._moves = self._episode + 1, 0
            if self._best is not None and self._episode % 2:
                self._place = self._best[1]
            else:
                self._place = unravel(random.randrange(math.prod(shape)), shape)
            self._look(self._place)
            return self._observe(), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            axis, down = divmod(int(action), 2)
            place = list(self._place)
            place[axes[axis]] += -1 if down else 1
            paid = 0.0
            if 0 <= place[axes[axis]] < shape[axes[axis]]:
                paid = self._look(tuple(place))
                self._place = tuple(place) if paid else self._place
            self._moves += 1
            return self._observe(), paid, False, self._moves == EPISODE, {}

        def _look(self, place: Place) -> float:
            """Return what the place pays; 0: it fails."""
            score = seam.evaluate(place)
            if score is None:
                raise _OverError
            if math.isinf(score):
                return 0.0
            self._first = score if self._first is None else self._first
            self._best = min(self._best or (score, place), (score, place))
            self._score = score - self._first
            return reward(math.exp(self._score), 1.0)

        def _observe(self) -> Any:
            where = [self._place[axis] for axis in axes] / last
            return np.array([*where, np.clip(self._score, -10, 10)], dtype=np.float32)

    return Environment()


def _make_training(environment: Any, seed: int) -> Callable[[], None]:
    dqn = load_library("stable_baselines3").DQN

    def train() -> None:
        agent = dqn(
            "MlpPolicy",
            environment,
            seed=seed,
            device="cpu",
            learning_rate=1e-3,
            learning_starts=32,
            train_freq=1,
            gamma=0.9,
            buffer_size=20_000,
            target_update_interval=200,
            exploration_fraction=EXPLORES / ENDLESS,
            exploration_final_eps=RANDOM,
        )
        agent.learn(ENDLESS)

    return train
