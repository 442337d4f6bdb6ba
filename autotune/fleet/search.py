"""The search of a fleet: one search a machine type, side by side, whatever happens to nodes."""

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NamedTuple, Protocol

from autotune import fleet_file, tune
from autotune.config_file import TunedFile, to_json
from autotune.errors import AutotuneError, MeasureError
from autotune.fleet.choose import better, disturbance
from autotune.fleet.ledger import Ledger, Past, extended, sender_of
from autotune.fleet.moved import History
from autotune.fleet.nodes import Member, by_type, demand_same_versions, demand_types, twins_of
from autotune.fleet.on_node import (
    Broken,
    Found,
    Job,
    Kept,
    Message,
    Refused,
    Searches,
    versions_here,
)
from autotune.fleet.parcel import Parcel, pack
from autotune.fleet_file import INTERRUPTED, FleetFile, MachineResult
from autotune.lesson import Lesson
from autotune.stages.answer import as_asked
from autotune.stages.events import Event, Said
from autotune.stages.memory import readable
from autotune.stages.question import Question
from autotune.units import format_duration

SILENCE_S = 10.0
"""After which a node that has not begun is said to be waited for."""

FleetObserver = Callable[[str, Event], None]
"""Is told what happens, and on which machine type; empty: on none of them."""


class Gone(NamedTuple):
    """A search will tell no more: its node, or its process there, is no longer."""

    reason: str


class Cluster(Protocol):
    """What a fleet asks of Ray."""

    def members(self, named_onnx: bool, known: Sequence[Member] = ()) -> list[Member]:
        """Return the nodes that are alive and have CPUs to give; those known are not asked."""
        ...

    def start(self, member: Member, job: Job) -> Hashable:
        """Begin a search that has a node to itself; return what stands for it."""
        ...

    def wait(self, timeout_s: float) -> list[tuple[Hashable, Message | Gone]]:
        """Return news of searches that run, in order for each."""
        ...

    def teach(self, search: Hashable, sender: str, lesson: Lesson) -> None:
        """Let a search that runs learn from another, in place of what it had from that before."""
        ...

    def stop(self, search: Hashable) -> None:
        """End a search, and forget it."""
        ...


class FleetQuestion(NamedTuple):
    """What is asked of a fleet."""

    question: Question
    """Of each machine type; `output` is the fleet's file."""
    nodes_per_type: int = 1
    """On so many nodes of a type the search is made; the least disturbed answer is kept."""
    at_once: int | None = None
    """Searches side by side, others wait and learn from them; None: all."""
    search: Searches = tune.search
    """What is run on a node."""


class _Run(NamedTuple):
    """One search to be made, or under way."""

    type: str
    named_type: str | None
    """The same, where a person named it; None: the machines' own account of themselves."""
    copy: int = 0
    """Of those on several nodes of a type."""
    number: int | None = None
    """In the user's store."""
    history: History | None = None
    used: frozenset[str] = frozenset()
    """Nodes on which it ran already."""
    last: Member | None = None
    """The last of these."""
    after_disturbance: bool = False

    @property
    def sender(self) -> str:
        """What others know it by, on whatever node it goes on."""
        return f"{self.type} {self.copy}{' again' if self.after_disturbance else ''}"


class _Running(NamedTuple):
    run: _Run
    member: Member
    since_s: float
    """When it was started, or last told something."""
    waits: bool = True
    """Nothing was heard of it yet."""


def search(asked: FleetQuestion, cluster: Cluster, observe: FleetObserver) -> FleetFile:
    """Search on every machine type, write the file if one is named, and return it.

    What is measured is kept in the user's store as it comes: the same asked again goes on, and a
    type whose node dies goes on with another of its kind.

    Raises:
        UsageError: the cluster has no nodes, its nodes differ in versions, or the question cannot
            be asked on them.
        ModelError: the model cannot be read, or be run on any machine type.
        MeasureError: nothing came to its end on any machine type.
        KeyboardInterrupt: interrupted before any machine type came to its end.
    """
    question = asked.question
    if question.output is not None:
        fleet_file.check_writable(question.output)
    parcel, started_at = pack(question), datetime.now(UTC).isoformat(timespec="seconds")
    named_onnx = question.model.is_named_onnx
    members = cluster.members(named_onnx)
    demand_types([one.type for one in members], len(members))
    demand_same_versions(members, versions_here(named_onnx))
    with closing(Ledger(question, lambda event: observe("", event))) as ledger:
        drive = _Drive(asked, parcel, cluster, ledger, observe)
        drive.begin(members)
        began_s = time.monotonic()
        try:
            drive.to_the_end()
        except KeyboardInterrupt:
            drive.stop()
            if not drive.found:
                raise
        machines = drive.results()
        fleet = FleetFile(
            format="autotune-fleet",
            schema_version=1,
            summary=_summary(machines, time.monotonic() - began_s),
            model=question.name,
            model_sha256=ledger.model_sha256,
            slo=question.slo,
            arrivals=(
                question.traffics[0].pattern if question.traffics else question.pattern
            ).describe(),
            objective=question.objective,
            autotune=version("autotune"),
            started_at=started_at,
            seconds=round(time.monotonic() - began_s, 3),
            machines=machines,
        )
    if question.output is not None:
        fleet_file.write(question.output, fleet)
    return fleet


class _Drive:
    """Which searches wait, run and have ended."""

    def __init__(
        self,
        asked: FleetQuestion,
        parcel: Parcel,
        cluster: Cluster,
        ledger: Ledger,
        observe: FleetObserver,
    ) -> None:
        self._asked, self._parcel, self._cluster = asked, parcel, cluster
        self._ledger, self._observe = ledger, observe
        self._members: list[Member] = []
        self._types: dict[str, int] = {}
        self._waiting: list[_Run] = []
        self._running: dict[Hashable, _Running] = {}
        self._lessons = {} if asked.question.learning.blank else ledger.lessons()
        self._type_of: dict[str, str] = {}  # who teaches
        self._notes: dict[str, list[str]] = {}
        self._missing: dict[str, str] = {}
        self._refusals: dict[str, AutotuneError] = {}
        self.found: dict[str, list[TunedFile]] = {}
        """Answers by machine type."""

    def begin(self, members: list[Member]) -> None:
        """Make out what is to be done on these nodes, and what was done before."""
        self._members = members
        for name, those in by_type(members).items():
            self._types[name], self._notes[name] = len(those), []
            alike = [one for one in those if one.facts.machine == those[0].facts.machine]
            if len(alike) < len(those):
                text = "its nodes are not alike: measurements of one do not hold on all others"
                self._note(name, text)
            named = those[0].node.named_type
            past = self._ledger.past(those[0].facts, named)
            copies = min(self._asked.nodes_per_type, len(those))
            for copy in range(copies):
                self._plan(_Run(name, named, copy), past[copy] if copy < len(past) else None)

    def _plan(self, run: _Run, past: Past | None) -> None:
        if past is None:
            self._waiting.append(run)
            return
        if (lesson := self._lessons.pop(sender_of(past.number), None)) is not None:
            self._lessons[run.sender], self._type_of[run.sender] = lesson, run.type
        row, records = past.history
        if answers := readable([row.answer] if row.answer is not None else []):
            text = f"answered from the store: measured on {row.started_at}; --fresh measures anew"
            self._tell(run.type, text)
            self.found.setdefault(run.type, []).append(self._named(answers[0]))
            return
        text = f"going on with the search of {row.started_at}, with its {len(records)} records"
        self._tell(run.type, text)
        self._waiting.append(run._replace(number=past.number, history=past.history))

    def to_the_end(self) -> None:
        """Search until all that can be searched is."""
        while self._waiting or self._running:
            self._start_some()
            for search, message in self._cluster.wait(1.0) if self._running else ():
                self._take(search, message)
            self._tell_of_silence()

    def stop(self) -> None:
        """End what runs; what it measured is kept."""
        for search, running in self._running.items():
            self._cluster.stop(search)
            self._missing[running.run.type] = f"{INTERRUPTED}; {_kept(running.run)}"
        for run in self._waiting:
            self._missing[run.type] = f"{INTERRUPTED}; {_kept(run)}"

    def results(self) -> list[MachineResult]:
        """Return what was found on each machine type.

        Raises:
            AutotuneError: nothing at all, and why; of several reasons, the first.
        """
        if not self.found:
            if self._refusals:
                name, error = next(iter(self._refusals.items()))
                raise type(error)(f"{error} (on {name})")
            reasons = "; ".join(f"{name}: {why}" for name, why in self._missing.items())
            raise MeasureError(f"no machine type came to its end: {reasons}")
        return [self._result(name) for name in sorted(self._types)]

    def _result(self, name: str) -> MachineResult:
        tuned = better(self.found.get(name, []))
        return MachineResult(
            type=name,
            nodes=self._types[name],
            status="missing" if tuned is None else tuned.status,
            reason=self._missing[name] if tuned is None else None,
            disturbed=None if tuned is None else disturbance(tuned),
            notes=self._notes[name],
            tuned=tuned,
        )

    def _start_some(self) -> None:
        for run in list(self._waiting):
            if self._asked.at_once is not None and len(self._running) >= self._asked.at_once:
                return
            member = self._free_node(run)
            if member is not None:
                self._waiting.remove(run)
                self._start(run, member)
            elif not any(one.run.type == run.type for one in self._running.values()):
                self._waiting.remove(run)
                if not run.after_disturbance:
                    why = f"no node of this type is left; {_kept(run)}"
                    self._missing[run.type] = why
                    self._tell(run.type, f"missing: {why}", warning=True)

    def _free_node(self, run: _Run) -> Member | None:
        """Return a node for a search: where its measurements hold, and nobody searched, first."""
        busy = {one.member.node.id for one in self._running.values()}
        free = [
            one
            for one in by_type(self._members).get(run.type, [])
            if one.node.id not in busy | run.used
        ]
        ordered = free if run.last is None else twins_of(run.last, free)
        return next(iter(ordered[run.copy % len(ordered) :]), None) if ordered else None

    def _start(self, run: _Run, member: Member) -> None:
        shared = self._asked.question.keeping.allow_shared
        others = (item for item in self._lessons.items() if self._type_of.get(item[0]) != run.type)
        job = Job(self._parcel, run.history, dict(others), shared, self._asked.search)
        self._tell(run.type, f"searching on {member.node.name}")
        search = self._cluster.start(member, job)
        used = run._replace(used=run.used | {member.node.id}, last=member)
        self._running[search] = _Running(used, member, time.monotonic())

    def _take(self, search: Hashable, message: Message | Gone) -> None:
        running = self._running[search]
        run = running.run
        match message:
            case Kept():
                same = run.history is not None and (
                    run.history[0].started_at == message.row.started_at
                )
                known = run.number if same else None
                number = self._ledger.keep(known, message, run.named_type)
                run = run._replace(number=number, history=extended(run.history, message))
                if message.lesson is not None and not self._asked.question.learning.blank:
                    self._teach(run, message.lesson)
            case Found():
                self._running.pop(search)
                self._answered(run, message.tuned)
                return
            case Refused() | Broken() | Gone():
                self._running.pop(search)
                self._ended(run, running.member, message)
                return
            case _:
                self._observe(run.type, message)
        self._running[search] = running._replace(run=run, since_s=time.monotonic(), waits=False)

    def _teach(self, run: _Run, lesson: Lesson) -> None:
        """Let other machine types learn, those that run and those that will; copies do not."""
        self._lessons[run.sender], self._type_of[run.sender] = lesson, run.type
        for search, running in self._running.items():
            if running.run.type != run.type:
                self._cluster.teach(search, run.sender, lesson)

    def _answered(self, run: _Run, tuned: TunedFile) -> None:
        tuned = self._named(tuned)
        self.found.setdefault(run.type, []).append(tuned)
        if run.history is not None:
            row = run.history[0]._replace(answer=to_json(tuned))
            self._ledger.keep(run.number, Kept(row, []), run.named_type)
        why = disturbance(tuned)
        if why is None:
            return
        self._note(run.type, f"disturbed: {why}")
        again = _Run(run.type, run.named_type, run.copy, used=run.used, after_disturbance=True)
        if not run.after_disturbance and self._free_node(again) is not None:
            self._note(run.type, "searched again on another node")
            self._waiting.append(again)

    def _ended(self, run: _Run, member: Member, why: Refused | Broken | Gone) -> None:
        """Have a search that ended without an answer go on elsewhere, where that may help."""
        if isinstance(why, Refused):
            self._refusals[run.type] = why.error
            self._missing[run.type] = str(why.error)
            self._tell(run.type, f"missing: {why.error}", warning=True)
            return
        reason = why.reason if isinstance(why, Gone) else f"a fault of autotune: {why.trace}"
        self._note(run.type, f"node {member.node.name} was lost: {reason}; {_kept(run)}")
        named_onnx = self._asked.question.model.is_named_onnx
        alive = self._cluster.members(named_onnx, self._members)
        # One that joined meanwhile may stand in, if it runs the same.
        here = versions_here(named_onnx)
        self._members = [one for one in alive if one.facts.versions == here]
        self._waiting.insert(0, run)

    def _tell_of_silence(self) -> None:
        for search, running in self._running.items():
            if running.waits and time.monotonic() - running.since_s > SILENCE_S:
                name = running.member.node.name
                text = f"waiting for {name}: something else that Ray runs has CPUs of it"
                self._tell(running.run.type, text, warning=True)
                self._running[search] = running._replace(waits=False)

    def _named(self, tuned: TunedFile) -> TunedFile:
        return as_asked(tuned, self._asked.question)

    def _note(self, name: str, text: str) -> None:
        self._notes[name].append(text)
        self._tell(name, text, warning=True)

    def _tell(self, name: str, text: str, warning: bool = False) -> None:
        self._observe(name, Said(text=text, warning=warning))


def _kept(run: _Run) -> str:
    records = 0 if run.history is None else len(run.history[1])
    where = "" if run.number is None else " in the store: the same asked again goes on with them"
    return f"{records} measurements are kept{where}"


def _summary(machines: Iterable[MachineResult], seconds: float) -> str:
    listed = list(machines)
    answered = [one for one in listed if one.tuned is not None]
    missed = [one.type for one in answered if one.status == "slo_not_met"]
    missing = [one.type for one in listed if one.tuned is None]
    took = f"in {format_duration(seconds)}" if seconds >= 1 else "at once"
    text = f"{len(answered)} of {len(listed)} machine types answered {took}"
    text += f"; the SLO is not met on {', '.join(missed)}" if missed else ""
    return text + (f"; missing: {', '.join(missing)}" if missing else "") + "."
