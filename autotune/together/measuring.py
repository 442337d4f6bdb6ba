"""All models for one window: schedules in, what each service's requests met out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.arrivals import draw
from autotune.outcome import Measured
from autotune.probes.cores import usable_cpus
from autotune.probes.topology import format_cpus, physical_cores
from autotune.records import Failed
from autotune.spec import ServingConfig
from autotune.stages.drive import (
    MAX_WINDOW_SHARE,
    MIN_WINDOW_S,
    SEARCH_REQUESTS,
    lead_in_s,
    quieter,
    repeats_after,
    trial_spec,
)
from autotune.stats.disturbance import severity
from autotune.together.benches import Cpus, Seated
from autotune.together.chain import joined
from autotune.together.kept import MeasuresAll
from autotune.together.question import Service, TogetherQuestion
from autotune.together.records import Placed


class Layout(NamedTuple):
    """How all models run: a configuration each, and perhaps cores of their own."""

    configs: tuple[ServingConfig, ...]
    own_cores: tuple[int, ...] | None

    def cpus(self) -> list[Cpus]:
        """Return the CPUs of each model; threads of one physical core stay together."""
        if self.own_cores is None:
            return [None] * len(self.configs)
        mine = frozenset(usable_cpus())
        whole = physical_cores(mine) or [frozenset([cpu]) for cpu in sorted(mine)]
        order = [cpu for core in whole for cpu in sorted(core & mine)]
        ends = np.cumsum(self.own_cores)
        return [
            frozenset(order[end - count : end])
            for end, count in zip(ends, self.own_cores, strict=True)
        ]

    def placed(self, names: Sequence[str]) -> list[Placed]:
        """Return the same as a record."""
        return [
            Placed(model=name, config=config, cpus=None if own is None else format_cpus(own))
            for name, config, own in zip(names, self.configs, self.cpus(), strict=True)
        ]


class Run(NamedTuple):
    """One window, without its lead-in."""

    services: list[Measured]
    """From end to end."""
    models: list[Measured]
    """Each model's executions."""

    @property
    def cores_used(self) -> float:
        """CPU seconds per second, of all."""
        return sum(one.cpu_s / max(1e-9, one.duration_s) for one in self.models)


class Windows:
    """Measures windows, and knows how often the machine was disturbed."""

    def __init__(self, question: TogetherQuestion, benches: MeasuresAll) -> None:
        """Measure with these benches."""
        self._question, self._benches = question, benches
        self._disturbed: list[bool] = []

    def measure(
        self, layout: Layout, seconds: float, seed: tuple[int, ...], scale: float = 1.0
    ) -> Run | Failed:
        """Measure all models at the same time; again where something disturbed them.

        Args:
            layout: how they run.
            seconds: of the window, its lead-in apart.
            seed: of the arrivals.
            scale: the share of all loads.

        Raises:
            MeasureError: the machine is no longer what it was.
        """
        question = self._question.at(scale)
        best = self._once(question, layout, seconds, seed)
        for _ in range(repeats_after(self._disturbed)):
            if isinstance(best, Failed) or not _disturbed(best):
                break
            again = self._once(question, layout, seconds, seed)
            best = again if isinstance(again, Failed) else _quieter(best, again)
        if not isinstance(best, Failed):
            self._disturbed.append(_disturbed(best))
        return best

    def _once(
        self, question: TogetherQuestion, layout: Layout, seconds: float, seed: tuple[int, ...]
    ) -> Run | Failed:
        uncounted_s = lead_in_s(seconds)
        seats, cpus = [], layout.cpus()
        for number, model in enumerate(question.models):
            service = question.services[model.service]
            own = (*seed, model.service)
            arrivals_s = draw(service.traffic, seconds + uncounted_s, own)
            arrivals_s = np.repeat(arrivals_s, service.executions(model.step))
            trial = trial_spec(layout.configs[number], arrivals_s.tolist(), service.slo, own)
            follows = service.steps[model.step].per_request if model.step else 0
            feeds = model.step + 1 < len(service.steps)
            seats.append(Seated(trial, cpus[number], follows, feeds))
        outcome = self._benches.measure(seats)
        if isinstance(outcome, Failed):
            return outcome
        return _run(question.services, outcome, uncounted_s)


def _run(services: Sequence[Service], outcomes: list[Measured], uncounted_s: float) -> Run:
    found, models, first = [], [], 0
    for service in services:
        steps = outcomes[first : first + len(service.steps)]
        first += len(steps)
        whole, steps = joined(steps, [one.per_request for one in service.steps])
        found.append(whole.counted(uncounted_s))
        models += [one.counted(uncounted_s) for one in steps]
    return Run(found, models)


def window_s(question: TogetherQuestion, budget_s: float) -> float:
    """Return the seconds of a window in which each service has requests enough, time allowing."""
    longest_s = max(MIN_WINDOW_S, MAX_WINDOW_SHARE * budget_s)
    wanted_s = max(one.traffic.seconds_for(SEARCH_REQUESTS) for one in question.services)
    return min(longest_s, max(MIN_WINDOW_S, wanted_s))


def _disturbed(run: Run) -> bool:
    return any(one.disturbed for one in run.models)


def _quieter(first: Run, second: Run) -> Run:
    """Return the window whose noisiest model was disturbed less."""
    worst = [max(one.models, key=lambda run: severity(run.disturbance)) for one in (first, second)]
    return first if quieter(*worst) is worst[0] else second
