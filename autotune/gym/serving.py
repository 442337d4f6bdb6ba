"""The environment: a load, a configuration, and one measurement a step."""

import math
import os
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from autotune.errors import UsageError
from autotune.given import make_model, make_slo
from autotune.gym.ground import Ground, Reading
from autotune.gym.here import here
from autotune.gym.moves import Moves, actions
from autotune.gym.on_paper import PaperModel, on_paper
from autotune.gym.replay import replay
from autotune.paper.cpu_machine import ModelOnCpu
from autotune.paper.gpu_machine import ModelOnGpu
from autotune.spec import ModelSpec, ServingConfig
from autotune.stats.reward import reward
from autotune.units import MAX_LOAD_RPS, format_rps

Observation = npt.NDArray[np.float32]
Model = PaperModel | ModelSpec | str | os.PathLike[str] | None

PAPER = "paper:"
HERE = "here"
RECENT = 4
"""Latencies that are remembered."""
FURTHEST = 10.0
"""Doublings of the SLO, or halvings, up to which a latency is told from another."""
MOST_SHARE = 8.0
_LOAD_LIMIT = math.log10(MAX_LOAD_RPS)
_NO_POINT = "there is no such configuration"
_NOT_MEASURED = "nothing further in this direction was measured at this load"


class ServingEnv(gymnasium.Env[Observation, np.int64]):
    """Find the configuration of a server with the lowest latency, by moving and measuring.

    An episode has one load and starts at the runtime's default. Each step moves by one value of
    one knob, or stays, measures, and pays `autotune.stats.reward.reward` of the measurement:
    1 / (1 + latency / SLO) at the SLO's percentile, 0 for a configuration that fails. It ends
    (truncated, never terminated) after `measurements` steps. The best an agent can do is to get to
    the best configuration quickly and to stay there; the sum is what it lost on the way.

    Observation, a box of float32 (`layout` names each):

    - log10 of the load in requests/s; the load as a share of the highest that meets the SLO, 0
      where that is not known; the share of the episode that is left;
    - where the configuration lies on each axis of the lattice, from 0 (lowest value) to 1;
    - log2 of latency over SLO of the last four measurements, the latest first, within -10 and 10:
      10 for one that failed or lost too many requests, 0 where there is none yet.

    Actions: 0 stays; 2 a + 1 and 2 a + 2 go one value up and down axis a (`axes` names them).
    Where there is no such configuration the move is refused: it stays, measures, and `info` says
    so. A knob that means nothing at the new place (spinning of a lone thread, the wait of a batch
    of one) is let go of.

    `info`: `config` (in words), `load_rps`, `latency_s` (infinite: lost; None: it failed, or
    nothing was measured yet), `failure`, `refused` (why; empty: it was not) and `action_mask`, the
    moves that lead somewhere from here, as `action_space.sample(mask)` takes it.

    A replay holds what a search measured and no more. There a move goes to the nearest of the
    configurations that were measured at this load, of those further along its axis (nearest, in
    steps of the lattice, to the place it was meant for), and is refused where there is none; the
    reading is one of those that were made, by chance.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012  # as `Env` has it

    def __init__(
        self,
        model: Model = None,
        machine: str | os.PathLike[str] = "paper:cpu:16",
        *,
        slo_ms: float | None = None,
        percentile: float | None = None,
        loads_rps: float | Iterable[float] | None = None,
        points: int = 200,
        measurements: int = 32,
        render_mode: str | None = None,
    ) -> None:
        """Prepare the ground: simulate a machine on paper, load a model, or read a recording.

        Args:
            model: on paper a seed by which a model is drawn (None: 0), or a `ModelOnCpu` or
                `ModelOnGpu`; here a file's name as for `autotune.search`, or a `ModelSpec`; of a
                replay None, or the file of the model that it must be of.
            machine: `paper:cpu:CORES`, `paper:cpu:CORES:smt` or `paper:gpu`; `here`, live; or the
                path of a tuned file or a store, replayed.
            slo_ms: here, the latency objective. Paper and replays have their own.
            percentile: here, the share of requests in % that must be within it; None: 99.
            loads_rps: here, the loads in requests/s; of a replay, which of its loads; None: all.
                On paper there are three: nearly idle, busy, near the edge.
            points: on paper, how many configurations there are, about.
            measurements: steps of an episode.
            render_mode: `ansi` or None.

        Raises:
            UsageError: an argument cannot be used, or not with this machine.
            ModelError, ConfigFileError: the model, or a recording, cannot be used.
        """
        self._measurements = _episode(measurements)
        if render_mode not in (None, "ansi"):
            raise UsageError(f"render_mode={render_mode!r}: write 'ansi', or leave it out")
        loads = None if loads_rps is None else _loads(loads_rps)
        self.ground = _ground(model, machine, (slo_ms, percentile), loads, points)
        self.axes = self.ground.axes
        self.render_mode = render_mode
        self._scaled = _scaled(self.ground)
        self._moves: dict[int, Moves] = {}
        self._load, self._point, self._left = 0, 0, 0
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._last = Reading(None)
        self.layout = (
            *("log10 load", "share of sustained", "left"),
            *self.axes,
            *(f"log2 latency/SLO, {ago} ago" for ago in range(RECENT)),
        )
        count = len(self.axes)
        low = [-_LOAD_LIMIT, 0, 0, *[0] * count, *[-FURTHEST] * RECENT]
        high = [_LOAD_LIMIT, MOST_SHARE, 1, *[1] * count, *[FURTHEST] * RECENT]
        self.observation_space = gymnasium.spaces.Box(
            np.array(low, dtype=np.float32), np.array(high, dtype=np.float32)
        )
        self.action_space = gymnasium.spaces.Discrete(actions(count))

    @property
    def config(self) -> ServingConfig:
        """The configuration where the agent is."""
        return self.ground.configs[self._point]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; nothing is measured yet.

        Args:
            seed: of all chance, from now on.
            options: `load_rps`, one of the loads (drawn without it), and `config`, a
                `ServingConfig` to start at.

        Raises:
            UsageError: there is no such option, load or configuration.
        """
        super().reset(seed=seed)
        given = dict(options or {})
        drawn = int(self.np_random.integers(len(self.ground.loads_rps)))
        named = given.pop("load_rps", None)
        self._load = drawn if named is None else _load_of(self.ground, named)
        self._point = _start(self.ground, self._load, given.pop("config", None))
        if given:
            raise UsageError(f"options: {', '.join(map(str, given))}: is none of load_rps, config")
        self._left = self._measurements
        self._recent.clear()
        self._last = Reading(None)
        return self._observe(), self._info("")

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move, and measure.

        Raises:
            UsageError: there is no such action, or no episode was begun.
            MeasureError: the machine is no longer what it was.
        """
        if not self.action_space.contains(action):
            raise UsageError(f"action={action!r} is none of {self.action_space}")
        if not self._left:
            raise UsageError("the episode has ended, or was not begun: call reset()")
        target = self._here().target(self._point, int(action))
        refused = ""
        if target is None:
            refused = _NO_POINT if self.ground.measured is None else _NOT_MEASURED
            target = self._point
        reading = self.ground.measure(self.np_random, self._load, target)
        self._point, self._last, self._left = target, reading, self._left - 1
        slo_s = self.ground.slo.latency_ms / 1e3
        self._recent.appendleft(_doublings(reading.latency_s, slo_s))
        earned = reward(reading.latency_s, slo_s)
        return self._observe(), earned, False, self._left == 0, self._info(refused)

    def render(self) -> str | None:
        """Return a line on where the agent is, in mode `ansi`."""
        if self.render_mode is None:
            return None
        load = format_rps(self.ground.loads_rps[self._load])
        latency_s = self._last.latency_s
        found = "nothing measured" if latency_s is None else f"{1e3 * latency_s:.3g} ms"
        return f"{load}/s  {self.config.describe()}  {self._last.failure or found}"

    def close(self) -> None:
        """End what measures."""
        self.ground.close()

    def _here(self) -> Moves:
        measured = self.ground.measured
        load = 0 if measured is None else self._load  # all loads have the same moves
        if load not in self._moves:
            known = None if measured is None else measured[load]
            self._moves[load] = Moves(self.ground.coordinates, self.axes, known)
        return self._moves[load]

    def _observe(self) -> Observation:
        load_rps = self.ground.loads_rps[self._load]
        sustained = self.ground.sustainable_rps
        seen = [
            math.log10(load_rps),
            load_rps / sustained if sustained else 0.0,
            self._left / self._measurements,
            *self._scaled[self._point],
            *self._recent,
            *[0.0] * (RECENT - len(self._recent)),
        ]
        box = self.observation_space
        assert isinstance(box, gymnasium.spaces.Box)
        return np.clip(np.array(seen, dtype=np.float32), box.low, box.high)

    def _info(self, refused: str) -> dict[str, Any]:
        return {
            "config": self.config.describe(),
            "load_rps": self.ground.loads_rps[self._load],
            "latency_s": self._last.latency_s,
            "failure": self._last.failure,
            "refused": refused,
            "action_mask": self._here().mask(self._point),
        }


def _ground(
    model: Model,
    machine: object,
    slo: tuple[object, object],
    loads_rps: tuple[float, ...] | None,
    points: int,
) -> Ground:
    if not isinstance(machine, str | os.PathLike):
        raise UsageError(f"machine={machine!r}: write here, paper:cpu:16, paper:gpu or a path")
    if machine == HERE:
        return _live(model, slo, loads_rps)
    if slo != (None, None):
        raise UsageError(f"slo_ms and percentile are for machine='here': {machine} has its own")
    name = os.fsdecode(machine)
    if name.startswith(PAPER) and isinstance(machine, str):
        if loads_rps is not None:
            raise UsageError(f"loads_rps: {name} has its own: choose among them at reset()")
        if not isinstance(model, int | ModelOnCpu | ModelOnGpu | None):
            raise UsageError(f"model={model!r}: on paper it is a seed, like 0, or a model on paper")
        return on_paper(name.removeprefix(PAPER), 0 if model is None else model, points)
    if not isinstance(model, str | os.PathLike | None):
        raise UsageError(f"model={model!r}: of a replay it is a file, or left out")
    found = replay(Path(name), None if model is None else os.fsdecode(model))
    return found if loads_rps is None else _only(found, loads_rps)


def _live(model: Model, slo: tuple[object, object], loads_rps: tuple[float, ...] | None) -> Ground:
    slo_ms, percentile = slo
    if slo_ms is None or loads_rps is None:
        raise UsageError("machine='here' needs slo_ms and loads_rps, like slo_ms=50, loads_rps=80")
    objective = make_slo(
        _positive(slo_ms, "slo_ms"),
        99.0 if percentile is None else _positive(percentile, "percentile"),
        f"slo_ms={slo_ms!r}",
        f"percentile={percentile!r}",
    )
    if isinstance(model, str | os.PathLike):
        model = make_model(os.fsdecode(model), {}, None, None, seed=0)
    if not isinstance(model, ModelSpec):
        raise UsageError(f"model={model!r}: here it is a file, like 'model.onnx'")
    return here(model, objective, loads_rps)


def _only(ground: Ground, loads_rps: tuple[float, ...]) -> Ground:
    chosen = [_load_of(ground, load_rps) for load_rps in loads_rps]
    assert ground.measured is not None
    return ground._replace(
        loads_rps=loads_rps,
        measured=ground.measured[chosen],
        measure=lambda rng, load, point: ground.measure(rng, chosen[load], point),
    )


def _load_of(ground: Ground, load_rps: object) -> int:
    if load_rps not in ground.loads_rps:
        known = ", ".join(f"{one:g}" for one in ground.loads_rps)
        raise UsageError(f"load_rps={load_rps!r}: is none of {known}")
    return ground.loads_rps.index(load_rps)


def _start(ground: Ground, load: int, config: object) -> int:
    measured = None if ground.measured is None else ground.measured[load]
    if config is None:
        return 0 if measured is None else int(np.argmax(measured))
    if isinstance(config, ServingConfig) and config in ground.configs:
        point = ground.configs.index(config)
        if measured is None or measured[point]:
            return point
    said = config.describe() if isinstance(config, ServingConfig) else repr(config)
    raise UsageError(f"config={said}: is none of the configurations at this load")


def _scaled(ground: Ground) -> npt.NDArray[np.float64]:
    """Return where each point lies on each axis, from 0 to 1; shape (points, axes)."""
    low, span = ground.coordinates.min(axis=0), np.ptp(ground.coordinates, axis=0)
    return np.asarray((ground.coordinates - low) / np.where(span > 0, span, 1.0))


def _doublings(latency_s: float | None, slo_s: float) -> float:
    if latency_s is None or not math.isfinite(latency_s):
        return FURTHEST
    return max(-FURTHEST, min(FURTHEST, math.log2(max(latency_s, 1e-12) / slo_s)))


def _episode(measurements: object) -> int:
    if isinstance(measurements, bool) or not isinstance(measurements, int) or measurements < 2:
        raise UsageError(f"measurements={measurements!r} is not a whole number of 2 or more")
    return measurements


def _loads(loads_rps: object) -> tuple[float, ...]:
    one_by_one = (
        loads_rps
        if isinstance(loads_rps, Iterable) and not isinstance(loads_rps, str | Mapping)
        else [loads_rps]
    )
    found = tuple(sorted({_positive(one, "loads_rps") for one in one_by_one}))
    if not found:
        raise UsageError("loads_rps is empty: name a load, or leave it out")
    if found[-1] > MAX_LOAD_RPS:
        raise UsageError(f"loads_rps={found[-1]:g}: is more than can be issued on one machine")
    return found


def _positive(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise UsageError(f"{name}={value!r} is not a number")
    if not 0 < value < math.inf:
        raise UsageError(f"{name}={value!r} must be above zero, and finite")
    return float(value)
