"""A fleet's search over nodes in this process, on which the ordinary search runs on paper."""

from collections.abc import Hashable
from pathlib import Path

import pytest
from desk import simulate_less, without_times
from fleet_machines import PaperSearch
from fleet_made import MadeCluster, News, Told, asked, member, question
from msgspec import structs

from autotune import fleet_file
from autotune.config_file import TunedFile
from autotune.errors import MeasureError, ModelError, UsageError
from autotune.fleet.nodes import Member
from autotune.fleet.on_node import Job, Kept, run
from autotune.fleet.parcel import pack
from autotune.fleet.search import Gone, search
from autotune.stages.events import Observer
from autotune.stages.question import Keeping, Question
from autotune.store.database import Store

BIG, SMALL = member("10.0.0.1", "big"), member("10.0.0.2", "small")
TWIN = member("10.0.0.3", "small")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_less(monkeypatch)
    monkeypatch.setattr("autotune.stages.learning.starter_lessons", list)


def only(found: TunedFile | None) -> TunedFile:
    assert found is not None
    return without_times(found)


def test_every_machine_type_is_searched_side_by_side_and_written(tmp_path: Path) -> None:
    cluster, told = MadeCluster([SMALL, BIG]), Told()
    fleet = search(asked(question(tmp_path)), cluster, told)
    assert [one.type for one in fleet.machines] == ["big", "small"]
    assert [one.status for one in fleet.machines] == ["complete", "complete"]
    assert cluster.most_at_once == 2
    assert fleet_file.read(tmp_path / "model.fleet.json") == fleet
    assert fleet_file.exit_code(fleet) == 0
    for one in fleet.machines:
        assert one.tuned is not None
        assert one.tuned.model.name == "model.onnx"
        assert str(tmp_path) not in fleet_file.to_json(fleet).replace(str(tmp_path / "model"), "")
    assert told.said("big")[0] == "searching on 10.0.0.1"


def test_the_same_asked_again_is_answered_from_the_store(tmp_path: Path) -> None:
    one = question(tmp_path)
    first = search(asked(one), MadeCluster([SMALL, BIG]), Told())
    again, told = MadeCluster([SMALL, BIG]), Told()
    second = search(asked(one), again, told)
    assert second.machines == first.machines
    assert again.jobs == []
    assert "answered from the store" in told.said("small")[0]
    fresh = Keeping(store=tmp_path / "store.sqlite", allow_shared=True, fresh=True)
    anew = MadeCluster([BIG])
    search(asked(structs.replace(one, keeping=fresh)), anew, Told())
    assert anew.jobs[0][1].history is None


def test_a_node_that_dies_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    (whole,) = search(asked(question(tmp_path)), MadeCluster([SMALL]), Told()).machines
    for moment in (0, 2, 31):
        store = tmp_path / f"{moment}.sqlite"
        one = question(tmp_path, keeping=Keeping(store=store, allow_shared=True))
        cluster = MadeCluster([SMALL, TWIN], {"10.0.0.2": moment})
        (found,) = search(asked(one), cluster, Told()).machines
        assert [name for name, _ in cluster.jobs] == ["10.0.0.2", "10.0.0.3"]
        assert only(found.tuned) == only(whole.tuned), moment
        assert "node 10.0.0.2 was lost: it was taken away" in found.notes[0]
        history = cluster.jobs[1][1].history
        assert (history is None) == (moment < 2)
        with Store(store) as opened:
            kept = [(record.digest, record.turn) for _, record in opened.records(1)]
        # What the first had kept, the second began with, and measured nothing of it again.
        before = [] if history is None else [(one.digest, one.turn) for one in history[1]]
        assert kept[: len(before)] == before
        assert len(kept) == len(set(kept))


def test_a_type_without_a_node_left_is_missing_and_goes_on_another_time(tmp_path: Path) -> None:
    cluster, told = MadeCluster([SMALL, BIG], {"10.0.0.2": 30}), Told()
    fleet = search(asked(question(tmp_path)), cluster, told)
    big, small = fleet.machines
    assert big.status == "complete"
    assert small.status == "missing"
    assert small.reason is not None
    assert "no node of this type is left" in small.reason
    assert "go" in small.reason
    assert fleet_file.exit_code(fleet) == 4
    assert fleet_file.read(tmp_path / "model.fleet.json") == fleet
    again, told = MadeCluster([SMALL, BIG]), Told()
    whole = search(asked(question(tmp_path)), again, told)
    assert [name for name, _ in again.jobs] == ["10.0.0.2"]
    assert again.jobs[0][1].history is not None
    assert "going on with the search of" in told.said("small")[0]
    assert whole.machines[1].status == "complete"


def test_a_twin_on_which_measurements_hold_is_preferred(tmp_path: Path) -> None:
    other = member("10.0.0.25", "small", cpu="another")
    cluster = MadeCluster([SMALL, other, TWIN], {"10.0.0.2": 20})
    (found,) = search(asked(question(tmp_path)), cluster, Told()).machines
    assert [name for name, _ in cluster.jobs] == ["10.0.0.2", "10.0.0.3"]
    assert "not alike" in found.notes[0]


def test_a_node_that_joins_meanwhile_stands_in(tmp_path: Path) -> None:
    class Growing(MadeCluster):
        def wait(self, timeout_s: float) -> News:
            news = super().wait(timeout_s)
            if any(isinstance(message, Gone) for _, message in news):
                self.alive.append(TWIN)
            return news

    cluster = Growing([SMALL], {"10.0.0.2": 20})
    fleet = search(asked(question(tmp_path)), cluster, Told())
    assert fleet.machines[0].status == "complete"
    assert cluster.jobs[1][0] == "10.0.0.3"


def test_types_that_wait_learn_from_those_that_are_done(tmp_path: Path) -> None:
    cluster = MadeCluster([SMALL, BIG])
    fleet = search(asked(question(tmp_path), at_once=1), cluster, Told())
    (_, first), (_, second) = cluster.jobs
    assert cluster.most_at_once == 1
    assert first.lessons == {}
    assert fleet.machines[0].tuned is not None
    assert [*second.lessons.values()] == [fleet.machines[0].tuned.lesson]


def test_a_disturbed_search_is_marked_and_repeated_on_a_twin(tmp_path: Path) -> None:
    class Busy(MadeCluster):
        def start(self, member: Member, job: Job) -> Hashable:
            disturbed = member.node.name == "10.0.0.2"
            how = PaperSearch(other_cpu="other processes used 1.00 cores" if disturbed else "")
            return super().start(member, job._replace(search=how))

    cluster = Busy([SMALL, TWIN])
    (found,) = search(asked(question(tmp_path)), cluster, Told()).machines
    assert [name for name, _ in cluster.jobs] == ["10.0.0.2", "10.0.0.3"]
    assert found.disturbed is None
    assert "other processes used 1.00 cores" in found.notes[0]
    alone = Busy([SMALL])
    (marked,) = search(asked(question(tmp_path / "..")), alone, Told()).machines
    assert len(alone.jobs) == 1
    assert marked.disturbed is not None
    assert marked.status == "complete"


def test_more_nodes_of_a_type_search_each_on_its_own(tmp_path: Path) -> None:
    cluster = MadeCluster([SMALL, TWIN])
    fleet = search(asked(question(tmp_path), nodes_per_type=2), cluster, Told())
    assert {name for name, _ in cluster.jobs} == {"10.0.0.2", "10.0.0.3"}
    assert cluster.most_at_once == 2
    assert len(fleet.machines) == 1
    again = MadeCluster([SMALL, TWIN])
    search(asked(question(tmp_path), nodes_per_type=2), again, Told())
    assert again.jobs == []


def refusing(question: Question, observe: Observer) -> TunedFile:
    raise ModelError(f"{question.model.path}: cannot be run: no such operator")


def breaking(question: Question, observe: Observer) -> TunedFile:
    raise RuntimeError("a fault")


def test_what_no_node_can_run_is_said_as_it_would_be_here(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^model/model.onnx: cannot be run: no such operator"):
        search(asked(question(tmp_path), search=refusing), MadeCluster([SMALL, BIG]), Told())
    assert not (tmp_path / "model.fleet.json").exists()


def test_a_fault_on_every_node_is_a_measure_error_and_ends(tmp_path: Path) -> None:
    cluster = MadeCluster([SMALL, TWIN])
    with pytest.raises(MeasureError, match="no machine type came to its end"):
        search(asked(question(tmp_path), search=breaking), cluster, Told())
    assert len(cluster.jobs) == 2


def test_an_interrupt_writes_what_is_done_and_keeps_the_rest(tmp_path: Path) -> None:
    class Interrupted(MadeCluster):
        def wait(self, timeout_s: float) -> News:
            if len(self.jobs) == 2 and not self._left[0] and len(self._left[1]) < 40:
                raise KeyboardInterrupt
            return super().wait(timeout_s)

    cluster = Interrupted([SMALL, BIG])
    fleet = search(asked(question(tmp_path), at_once=1), cluster, Told())
    assert [one.status for one in fleet.machines] == ["complete", "missing"]
    assert fleet_file.exit_code(fleet) == 130
    assert cluster.stopped == [1]
    with Store(tmp_path / "store.sqlite") as store:
        assert store.count(2) > 0


def test_a_cluster_without_nodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no node"):
        search(asked(question(tmp_path)), MadeCluster([]), Told())


def test_nodes_of_other_versions_are_refused(tmp_path: Path) -> None:
    facts = structs.replace(TWIN.facts, versions={**TWIN.facts.versions, "numpy": "1.0"})
    cluster = MadeCluster([SMALL, TWIN._replace(facts=facts)])
    with pytest.raises(UsageError, match=r"node 10\.0\.0\.3 has numpy 1\.0, and this one \d"):
        search(asked(question(tmp_path)), cluster, Told())
    assert cluster.jobs == []


def test_a_search_here_goes_on_with_what_a_fleet_measured(tmp_path: Path) -> None:
    """A type that nobody named is what the machine says, as for `autotune search`."""
    here = member("10.0.0.4", None)
    one = question(tmp_path)
    fleet = search(asked(one), MadeCluster([here]), Told())
    said: list[object] = []
    tuned = PaperSearch()(structs.replace(one, output=None), said.append)
    assert tuned == fleet.machines[0].tuned
    assert "answered from the store" in str(said[1])


def test_what_is_kept_is_told_as_it_comes(tmp_path: Path) -> None:
    """At no moment has a node kept more than one thing that nobody else knows of."""
    job = Job(pack(question(tmp_path)), None, {}, True, PaperSearch())
    sizes = [len(one.records) for one in run(job) if isinstance(one, Kept)]
    assert sum(sizes) > 20
    assert max(sizes) == 1
