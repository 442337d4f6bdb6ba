"""Machine types that begin together and learn from each other while they are searched."""

import threading
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from desk import simulate_less
from fleet_machines import PaperSearch
from fleet_made import MadeCluster, News, Told, asked, member, question
from lessons import lesson

from autotune.fleet.nodes import Member
from autotune.fleet.on_node import Broken, Found, Job, Kept, Message, Refused, run
from autotune.fleet.parcel import pack
from autotune.fleet.search import FleetQuestion, Gone, search
from autotune.fleet_file import FleetFile
from autotune.lesson import Lesson
from autotune.probes.cores import Cores
from autotune.stages.events import Said
from autotune.stages.question import Learning, Question

BIG, SMALL = member("10.0.0.1", "big"), member("10.0.0.2", "small")
TWIN = member("10.0.0.3", "small")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_less(monkeypatch)
    monkeypatch.setattr("autotune.stages.learning.starter_lessons", list)
    # Searches in threads, each of which patches the same.
    two = Cores(affinity=2, quota=None)
    monkeypatch.setattr("autotune.stages.survey.usable_cores", lambda: two)
    monkeypatch.setattr("autotune.stages.reference.yardstick_ms", lambda: 1.0)


class SideBySide(MadeCluster):
    """Searches go on together, a message each; none before all that they told was taken in."""

    def __init__(self, *members: Member) -> None:
        super().__init__(members)
        self._streams: dict[Hashable, Iterator[Message]] = {}
        self._turns: dict[Hashable, threading.Semaphore] = {}
        self._post: dict[Hashable, dict[str, Lesson]] = {}
        self._told: list[Hashable] = []

    def start(self, member: Member, job: Job) -> Hashable:
        name = len(self.jobs)
        self.jobs.append((member.node.name, job))
        self._turns[name], self._post[name] = threading.Semaphore(0), {}
        self._streams[name] = run(job, partial(self._hear, name))
        return name

    def wait(self, timeout_s: float) -> News:
        for name in self._told:
            self._turns[name].release()
        news: News = []
        for name, stream in list(self._streams.items()):
            message = next(stream)
            news.append((name, message))
            if isinstance(message, Found | Refused | Broken):
                del self._streams[name]
        self._told = [name for name, message in news if isinstance(message, Kept)]
        return news

    def teach(self, search: Hashable, sender: str, lesson: Lesson) -> None:
        super().teach(search, sender, lesson)
        self._post[search][sender] = lesson

    def _hear(self, name: Hashable) -> Mapping[str, Lesson]:
        # Called once for each thing kept.
        assert self._turns[name].acquire(timeout=60)
        heard, self._post[name] = self._post[name], {}
        return heard


def beside(one: Question, cluster: MadeCluster, told: Told | None = None) -> FleetFile:
    how = FleetQuestion(one, nodes_per_type=2, search=PaperSearch())
    return search(how, cluster, told or Told())


def searches(fleet: FleetFile) -> list[int | None]:
    found = [one.tuned.search.learnt if one.tuned else None for one in fleet.machines]
    return [None if learnt is None else learnt.searches for learnt in found]


def test_types_that_begin_together_learn_from_each_other(tmp_path: Path) -> None:
    one, told = question(tmp_path, max_trials=3), Told()
    cluster = SideBySide(SMALL, BIG)
    fleet = beside(one, cluster, told)
    assert [one.status for one in fleet.machines] == ["complete", "complete"]
    assert all(job.lessons == {} for _, job in cluster.jobs)
    assert searches(fleet) == [1, 1]
    for machine in ("big", "small"):
        assert "learning from 1 search" in told.said(machine)
    # Each taught several times, the last time all that stands in its file, and was one search.
    for name, (on, _) in enumerate(cluster.jobs):
        to_others = [(sender, it) for to, sender, it in cluster.taught if to != name]
        assert len({sender for sender, _ in to_others}) == 1
        tuned = fleet.machines[0 if on == BIG.node.name else 1].tuned
        assert tuned is not None
        sizes = [len(it.latencies) for _, it in to_others]
        assert sizes == sorted(sizes)
        assert len(sizes) > 1


def test_nodes_of_one_type_are_each_on_their_own(tmp_path: Path) -> None:
    cluster = SideBySide(SMALL, TWIN, BIG)
    fleet = beside(question(tmp_path), cluster)
    assert {name for name, _ in cluster.jobs} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert searches(fleet) == [2, 1]


def test_a_blank_fleet_shares_nothing(tmp_path: Path) -> None:
    cluster = SideBySide(SMALL, BIG)
    fleet = beside(question(tmp_path, learning=Learning(blank=True)), cluster)
    assert searches(fleet) == [None, None]
    assert cluster.taught == []


def test_one_that_goes_on_elsewhere_learns_from_nobody_twice(tmp_path: Path) -> None:
    """Nor from itself: what it taught before its node died is known to others."""

    class Mortal(SideBySide):
        def wait(self, timeout_s: float) -> News:
            news = super().wait(timeout_s)
            # Both have taught twice, and heard of each other.
            if len(self.jobs) == 2 and len(self.taught) >= 4:
                self._streams.pop(1)
                self._turns[1].release(1000)
                self.alive.remove(SMALL)
                return [*news[:1], (1, Gone("it was taken away"))]
            return news

    cluster, one = Mortal(SMALL, TWIN, BIG), question(tmp_path, max_trials=3)
    fleet = search(asked(one), cluster, Told())
    assert [name for name, _ in cluster.jobs] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    job = cluster.jobs[2][1]
    assert job.history is not None
    assert len(job.lessons) == 1
    assert searches(fleet) == [1, 1]
    again = MadeCluster([SMALL, TWIN, BIG])
    assert [one.tuned for one in search(asked(one), again, Told()).machines] == [
        one.tuned for one in fleet.machines
    ]
    assert again.jobs == []


def test_a_post_that_is_lost_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    times = 0

    def lost() -> Mapping[str, Lesson]:
        nonlocal times
        times += 1
        raise ConnectionError("the actor died")

    job = Job(pack(question(tmp_path)), None, {}, True, PaperSearch())
    messages = list(run(job, lost))
    assert times == 1
    said = [one.text for one in messages if isinstance(one, Said)]
    assert said.count("nothing more is learnt from other machine types: the actor died") == 1
    assert isinstance(messages[-1], Found)


def test_what_a_node_is_told_is_learnt_by_its_search(tmp_path: Path) -> None:
    waiting = [{"fleet 7": lesson()}, {"fleet 7": lesson(latencies=20), "fleet 8": lesson(seed=1)}]
    known = {"fleet 8": lesson(seed=1), "fleet 9": lesson(seed=2)}
    job = Job(pack(question(tmp_path, max_trials=3)), None, known, True, PaperSearch())
    *_, found = run(job, lambda: waiting.pop(0) if waiting else {})
    assert isinstance(found, Found)
    assert found.tuned.search.learnt is not None
    assert found.tuned.search.learnt.searches == 3
