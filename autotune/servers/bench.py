"""A bench that measures through a server; all else it asks of the engine."""

import tempfile
import time
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from msgspec import structs

from autotune.errors import ServerError, UsageError
from autotune.exports.tuned import deployment_of
from autotune.outcome import ModelInfo, TrialOutcome
from autotune.probes.scratch import scratch
from autotune.records import Failed
from autotune.request_mix import draw_samples
from autotune.servers.applied import apply, wait_until_it_answers
from autotune.servers.drive import Connection, Target
from autotune.servers.exported import exported
from autotune.servers.run import Serving, run_through
from autotune.servers.running import end_orphans
from autotune.servers.samples import Samples, how_answers_differ, samples_of
from autotune.servers.seen import KnobSeen, look_at_knobs
from autotune.servers.starters import STARTERS
from autotune.servers.v2 import decode_answer
from autotune.servers.verify import make_target, take_burst
from autotune.spec import ServingConfig, TrialSpec
from autotune.stages.events import Doing, Observer, Said
from autotune.stages.question import Question
from autotune.stages.targeted import exporter_of
from autotune.stats.judge import Decides
from autotune.trial.bench import Bench

MOST_STANDING = 3
"""Servers at once: the default, a winner and a runner-up are confirmed in turn."""
START_S = 3.0
"""About what a start takes, before there was any."""
BURSTS = 5
"""Before a setting is said to be ignored: not every worker gets a request of each."""
LONG_WAIT_MS = 5.0
"""A wait for company in which a burst of requests is sure to arrive."""
MOST_FAILED = 3
"""Configurations that do not start, with none that does: then it is no configuration's fault."""


class ServerBench(Bench):
    """Servers that stand with a configuration each, least recently used first out.

    Use as a context. Profiles are those of the engine: only `measure` goes through the server.
    """

    def __init__(self, question: Question, observe: Observer) -> None:
        """Measure through the question's target, starting from the engine's answer."""
        super().__init__(question.model, question.allowed)
        end_orphans()
        assert question.target is not None
        assert question.engine is not None
        self._question, self._observe = question, observe
        self._server, self._engine = question.target, question.engine
        self._standing: OrderedDict[ServingConfig, Serving] = OrderedDict()
        self._samples: Samples | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        """Where a command finds the configuration, for as long as this is open."""
        self._starts_s: list[float] = []
        self._failed = 0
        self._told_unseen = False
        self.starting_s = START_S

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        """As `Bench.inspect`; the requests, and the answers that they should get, are kept."""
        if requests_folder is not None:
            return super().inspect(requests_folder)
        self._samples = samples_of(self)
        return self._samples.info

    def is_warm(self, config: ServingConfig) -> bool:
        """Whether a server stands with this configuration."""
        return config in self._standing

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        """As `Bench.measure`, through the server.

        Raises:
            UsageError: the server ignores its settings.
            ServerError: it starts with no configuration.
            MeasureError: the machine is no longer what it was.
        """
        return self._around.unsuspended(lambda: self._through(trial, judge))

    def _through(self, trial: TrialSpec, judge: Decides | None) -> TrialOutcome:
        config = trial.config
        serving = self._with(config)
        if isinstance(serving, Failed):
            return serving
        mixed = serving._replace(target=self._mixed(serving.target, trial))
        ran = run_through(mixed, trial, self._question.slo, judge)
        self._around.look()
        if not ran.drained:
            self._standing.pop(config).close()
        return ran.outcome

    def _with(self, config: ServingConfig) -> Serving | Failed:
        """Return a server that stands with a configuration, as the most recently used."""
        if config in self._standing:
            self._standing.move_to_end(config)
            return self._standing[config]
        self._close_children()  # what profiled takes memory that servers need
        self._make_room_for(config)
        self._observe(Doing(what=f"starting {self._server.server}: {config.describe()}"))
        began_s = time.monotonic()
        try:
            self._standing[config] = serving = self._launch(config)
            failed = self._prove(serving, config)
        except ServerError as error:
            failed = Failed(kind="load_error", detail=str(error))
        finally:
            seconds = time.monotonic() - began_s
            self.opening_s += seconds
        if failed is not None:
            self._give_up(config, failed)
            return failed
        self._starts_s.append(seconds)
        self.starting_s = median(self._starts_s)
        return self._standing[config]

    def _give_up(self, config: ServingConfig, failed: Failed) -> None:
        if config in self._standing:
            self._standing.pop(config).close()
        self._failed += 1
        if not self._starts_s and self._failed >= MOST_FAILED:
            raise ServerError(
                f"{self._server.server} serves with none of {self._failed} configurations; of the "
                f"last, {config.describe()}: {failed.detail}"
            )

    def _launch(self, config: ServingConfig) -> Serving:
        assert self._samples is not None
        target = self._server
        speaks = STARTERS[target.server].speaks if target.server in STARTERS else "v2"
        if target.url is not None:
            if self._folder is None:
                self._folder = scratch(ignore_cleanup_errors=True)
            address = make_target(target.url, self._samples, speaks)
            apply(target.apply, config, Path(self._folder.name))
            wait_until_it_answers(address)
            return Serving(address, None, lambda: "not known", lambda: None)
        entry = structs.replace(self._engine.policy[-1], config=config)
        deployment = deployment_of(self._engine, entry, Path(self._question.model.path))
        stack = ExitStack()
        running, url = stack.enter_context(exported(target.server, deployment, Path(target.python)))
        address = make_target(url, self._samples, speaks)
        return Serving(address, running.pids, running.last_lines, stack.close)

    def _prove(self, serving: Serving, config: ServingConfig) -> Failed | None:
        """Warm a server up, and see to it that it answers as it should and as it was told.

        Raises:
            UsageError: it ignores a setting.
            ServerError: it does not answer.
        """
        assert self._samples is not None
        try:
            with Connection(serving.target.url) as connection:
                bodies = [connection.ask(body) for body in serving.target.bodies]
            answers = [decode_answer(body) for body in bodies]
            if self._samples.expected:
                how = how_answers_differ(answers, self._samples)
                if how is not None:
                    return Failed(kind="wrong_output", detail=how)
            self._demand_obedience(serving.target, config)
        except ServerError as error:
            raise ServerError(f"{error}; its last lines: {serving.last_lines()}") from None
        return None

    def _demand_obedience(self, target: Target, config: ServingConfig) -> None:
        burst, ignored, knobs = [], None, list[KnobSeen]()
        for _ in range(BURSTS):
            burst += take_burst(target, config, 1)
            knobs = self._look(config, burst)
            ignored = next((one for one in knobs if is_ignored(one, config)), None)
            if ignored is None:
                break
        if ignored is not None:
            raise UsageError(
                f"{self._server.server} ignores {ignored.knob}: asked for {ignored.asked}, but "
                f"{ignored.seen}; see to it that the setting takes effect"
            )
        if not self._told_unseen and not any(one.effect == "took effect" for one in knobs):
            self._told_unseen = True
            text = f"whether settings took effect cannot be seen of {self._server.server}: "
            self._observe(Said(text=f"{text}its answers do not say who gave them", warning=True))

    def _look(self, config: ServingConfig, burst: list[dict[str, object]]) -> list[KnobSeen]:
        assert self._samples is not None
        known = STARTERS.get(self._server.server)
        inside = any("replica" in one or "streams" in one for one in burst)
        sees_processes = not inside if known is None else known.sees_processes
        threads = self._samples.info.default_threads
        found = look_at_knobs(exporter_of(self._server), config, burst, threads, sees_processes)
        if known is None and not inside and len({one.get("process") for one in burst}) == 1:
            # Replicas may be threads of that process, which answers do not tell apart.
            return [one for one in found if one.knob != "replicas"]
        return found

    def _mixed(self, target: Target, trial: TrialSpec) -> Target:
        """Return the target with the requests in the order of the trial's kinds."""
        assert self._samples is not None
        kinds, count = self._samples.info.sample_kinds, len(trial.arrivals_s)
        weights = [one.weight for one in self._question.model.kinds]
        order = draw_samples(kinds, weights, count, tuple(trial.order_seed))
        return target._replace(bodies=[target.bodies[number] for number in order])

    def _make_room_for(self, config: ServingConfig) -> None:
        most = MOST_STANDING if self._server.url is None else 1
        while self._standing and not (len(self._standing) < most and self._fits_in(config)):
            self._standing.popitem(last=False)[1].close()

    def _fits_in(self, config: ServingConfig) -> bool:
        if self._memory_bytes is None:
            return True
        replicas = config.replicas + sum(one.replicas for one in self._standing)
        return replicas * self._footprint_bytes <= self._memory_bytes

    def close(self) -> None:
        """End all servers, and what the engine left."""
        while self._standing:
            self._standing.popitem()[1].close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        super().close()

    def __enter__(self) -> "ServerBench":
        """Return the bench."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all servers."""
        self.close()


def is_ignored(one: KnobSeen, config: ServingConfig) -> bool:
    """Whether it is certain that the server does something else than was asked.

    Nothing was asked where the runtime chooses its threads, and other providers and compiled models
    start their own. Batches of one are no proof where requests need not wait for company.
    """
    if one.effect != "did not":
        return False
    if one.knob == "intra_op_threads":
        plain = config.provider == "cpu" and config.form == "as_given"
        return plain and config.intra_op_threads > 0
    if one.knob == "max_batch_size":
        return config.max_batch_size == 1 or config.batch_timeout_ms >= LONG_WAIT_MS
    return True
