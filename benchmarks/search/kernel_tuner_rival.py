"""Kernel Tuner as a rival: one of its strategies, on a search space without a kernel."""

import contextlib
import math
import queue
import random
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from search.rival_base import Lattice, Place, Remembering, load_library, shape_of

STRATEGY = "kernel_tuner.strategies.gen_hybrid_vndx"


class _Seam:
    """Where the strategy's thread and the race hand over to each other; one of them runs."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[Place | None] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[float | None] = queue.SimpleQueue()

    def measure(self, place: Place) -> float | None:
        self.asked.put(place)
        return self.told.get()


class KernelTunerRival(Remembering):
    """Kernel Tuner's generated hybrid of variable neighbourhood descent, asked and told.

    Source: the strategy `hybrid_vndx` of github.com/KernelTuner/kernel_tuner 1.5, which its authors
    found to do best of those that a language model had written for them. Strategies call a runner
    for results; here the runner waits in a thread of its own until the race tells it one.
    """

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Prepare the strategy; it starts when it is first asked."""
        super().__init__(shape_of(lattice), seed)
        names = [str(axis) for axis in range(len(self.shape))]
        interface, util = load_library("kernel_tuner.interface"), load_library("kernel_tuner.util")
        space = load_library("kernel_tuner.searchspace").Searchspace(
            {name: list(range(size)) for name, size in zip(names, self.shape, strict=True)},
            [],
            10**9,
        )
        options = interface.Options(
            strategy_options=interface.Options({"budget": 10**9}),
            objective=["time"],
            objective_higher_is_better=[False],
            budget=util.TuningBudget(None, self.size),
            verbose=False,
            restrictions=[],
            tune_params=space.tune_params,
        )
        self._seam = _Seam()
        arguments = (self._seam, names, space, options)
        self._thread = threading.Thread(target=_tune, args=arguments, daemon=True)
        self._rngs = (random.Random(seed).getstate(), np.random.RandomState(seed).get_state())
        self._next: Place | None = None
        self._started = False
        weakref.finalize(self, self._seam.told.put, None)

    def propose(self) -> Place | None:
        """Tell the strategy what it waits for, and wait for what it wants next."""
        with self._own_randomness():
            if not self._started:
                self._started = True
                self._thread.start()
            elif self._next is None:
                return None
            else:
                score = self.scores.get(self._next, 0.0)
                self._seam.told.put(1e3 * math.exp(score))
            self._next = self._seam.asked.get()
        return self._next

    def learn(self, place: Place, score: float) -> None:
        """The strategy is told when it is next asked."""

    @contextlib.contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Strategies draw from the libraries' global states."""
        before = random.getstate(), np.random.get_state()
        random.setstate(self._rngs[0])
        np.random.set_state(self._rngs[1])
        try:
            yield
        finally:
            self._rngs = random.getstate(), np.random.get_state()
            random.setstate(before[0])
            np.random.set_state(before[1])


def _tune(seam: _Seam, names: list[str], space: Any, options: Any) -> None:
    try:
        load_library(STRATEGY).tune(space, _make_runner(seam, names), options)
    finally:
        seam.asked.put(None)


def _make_runner(seam: _Seam, names: list[str]) -> Any:
    runners, util = load_library("kernel_tuner.runners.runner"), load_library("kernel_tuner.util")

    base: Any = runners.Runner

    class SeamRunner(base):  # type: ignore[misc]  # imported when needed
        def __init__(self) -> None:
            super().__init__()
            self.known: dict[Place, float] = {}

        def get_device_info(self) -> None:
            return None

        def get_environment(self, tuning_options: Any) -> dict[str, str]:
            return {}

        def run(self, parameter_space: Any, tuning_options: Any) -> list[Any]:
            results: list[Any] = []
            for config in parameter_space:
                place = tuple(config)
                if tuning_options.budget.is_done():
                    results.append(None)
                    continue
                if place not in self.known:
                    value = seam.measure(place)
                    if value is None:
                        raise util.StopCriterionReached("nobody asks any more")
                    self.known[place] = value
                    tuning_options.budget.add_evaluations(1)
                results.append({**dict(zip(names, place, strict=True)), "time": self.known[place]})
            return results

    return SeamRunner()
