"""Fleets that nobody rented: nodes in this process that die when they are told to."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from fleet_machines import PaperSearch
from tuned_types import made_type

from autotune import fleet_file
from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.fleet.nodes import Facts, Member, Node
from autotune.fleet.on_node import Job, Message, run, versions_here
from autotune.fleet.search import FleetQuestion, Gone
from autotune.fleet_file import FleetFile, MachineResult
from autotune.lesson import Lesson
from autotune.probes.machine import this_machine
from autotune.spec import ModelSpec, Slo
from autotune.stages.events import Event, Said
from autotune.stages.premises import asked_of
from autotune.stages.question import Keeping, Question


def member(name: str, named_type: str | None, cpu: str | None = None) -> Member:
    """A node of a type that runs what this process runs."""
    machine = this_machine()
    if cpu is not None:
        machine = msgspec.structs.replace(machine, cpu=cpu)
    facts = Facts(machine=machine, versions=versions_here(True))
    return Member(Node(f"id-{name}", name, named_type, 2.0), facts)


def question(folder: Path, **changed: object) -> Question:
    """Asked of each machine type."""
    model = folder / "model.onnx"
    model.write_bytes(b"a model")
    asked = Question(
        model=ModelSpec(path=str(model)),
        name="model.onnx",
        slo=Slo(latency_ms=50),
        traffics=[Traffic(load_rps=130)],
        budget_s=12.0,
        max_trials=1,
        seed=0,
        output=folder / "model.fleet.json",
        keeping=Keeping(store=folder / "store.sqlite", allow_shared=True),
    )
    return msgspec.structs.replace(asked, **changed)


News = list[tuple[Hashable, Message | Gone]]


class Told:
    """Hears what a fleet's search says."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []

    def __call__(self, machine: str, event: Event) -> None:
        self.events.append((machine, event))

    def said(self, machine: str) -> list[str]:
        return [one.text for name, one in self.events if name == machine and isinstance(one, Said)]


class MadeCluster:
    """Runs searches here, one after the other, and tells of them in turn."""

    def __init__(self, members: Sequence[Member], dies_after: Mapping[str, int] | None = None):
        """Have nodes die, by name, after so many messages."""
        self.alive = list(members)
        self.dies_after = dict(dies_after or {})
        self.jobs: list[tuple[str, Job]] = []
        self.most_at_once = 0
        self.stopped: list[Hashable] = []
        self.taught: list[tuple[Hashable, str, Lesson]] = []
        self._left: dict[Hashable, list[Message | Gone]] = {}
        self._on: dict[Hashable, Member] = {}

    def members(self, named_onnx: bool, known: Sequence[Member] = ()) -> list[Member]:
        return self.alive

    def start(self, member: Member, job: Job) -> Hashable:
        busy = [self._on[name].node.id for name, left in self._left.items() if left]
        assert member.node.id not in busy, "a node is searched on twice at once"
        assert member in self.alive, "a dead node is asked"
        name = len(self.jobs)
        self.jobs.append((member.node.name, job))
        messages: list[Message | Gone] = list(_messages(job))
        if (most := self.dies_after.pop(member.node.name, None)) is not None:
            messages = [*messages[: min(most, len(messages) - 1)], Gone("it was taken away")]
        self._left[name], self._on[name] = messages, member
        self.most_at_once = max(self.most_at_once, len(busy) + 1)
        return name

    def wait(self, timeout_s: float) -> News:
        news: News = []
        for name, left in self._left.items():
            if left:
                message = left.pop(0)
                news.append((name, message))
                if isinstance(message, Gone):
                    self.alive.remove(self._on[name])
        return news

    def teach(self, search: Hashable, sender: str, lesson: Lesson) -> None:
        self.taught.append((search, sender, lesson))

    def stop(self, search: Hashable) -> None:
        self.stopped.append(search)
        self._left[search] = []


_TOLD: dict[tuple[object, str], list[Message]] = {}
"""What searches told that nothing was known to before: they all tell the same."""


def _messages(job: Job) -> list[Message]:
    key = (job.search, asked_of(job.parcel.question))
    if job.history is not None or job.lessons or not isinstance(job.search, PaperSearch):
        return list(run(job))
    if key not in _TOLD:
        _TOLD[key] = list(run(job))
    return _TOLD[key]


def asked(one: Question, **how: Any) -> FleetQuestion:
    """The same of a fleet on paper."""
    return FleetQuestion(one, search=PaperSearch())._replace(**how)


def made_fleet(types: Mapping[str, TunedFile | str]) -> FleetFile:
    """A fleet's file: of each type its tuned file, or why it is missing."""
    machines = [
        MachineResult(
            type=name,
            nodes=1,
            status="missing" if isinstance(one, str) else one.status,
            reason=one if isinstance(one, str) else None,
            disturbed=None,
            notes=[],
            tuned=None if isinstance(one, str) else one,
        )
        for name, one in sorted(types.items())
    ]
    some = made_type()
    return FleetFile(
        format="autotune-fleet",
        schema_version=1,
        summary="2 of 3 machine types answered in 90 s; missing: c.large.",
        model=some.model.name,
        model_sha256=some.model.sha256,
        slo=some.slo,
        arrivals=some.arrivals,
        objective="latency",
        autotune="0.1.0",
        started_at="2026-11-29T12:00:00+00:00",
        seconds=90.0,
        machines=machines,
    )


def three_types() -> FleetFile:
    """Two that answered, and one that is missing."""
    return made_fleet(
        {"a.large": made_type(1.0), "b.large": made_type(2.0), "c.large": "no node is left"}
    )


def written(folder: Path, fleet: FleetFile | None = None) -> Path:
    """Where such a file lies."""
    path = folder / "model.fleet.json"
    fleet_file.write(path, fleet or three_types())
    return path
