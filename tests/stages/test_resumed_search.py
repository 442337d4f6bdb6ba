"""Searches that end before their time, over a synthetic machine with a clock of its own."""

import re
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from desk import Desk, Killed, MortalBench, make_desk, without_times
from msgspec import structs

from autotune import config_file
from autotune.arrivals import Traffic
from autotune.errors import UsageError
from autotune.outcome import Measured, TrialOutcome
from autotune.probes.machine import Machine, this_machine
from autotune.records import Failed
from autotune.spec import Slo, TrialSpec
from autotune.stages import memory as memory_module
from autotune.stages import premises as premises_module
from autotune.stages.kept_bench import Known
from autotune.stages.premises import Premises
from autotune.stages.question import Keeping, Learning
from autotune.stats.judge import Decides
from autotune.store.database import Store
from autotune.trial import wire


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return make_desk(tmp_path, monkeypatch)


def test_a_search_killed_anywhere_goes_on_and_measures_nothing_twice(desk: Desk) -> None:
    whole = desk.search()
    questions = desk.bench.asked
    for dies_at in {1, 2, *map(int, np.linspace(3, questions, 6))}:
        desk.store = desk.folder / f"killed at {dies_at}.sqlite"
        desk.search_until_killed(dies_at)
        assert without_times(desk.search()) == without_times(whole), dies_at
        assert desk.bench.asked == questions - (dies_at - 1), dies_at
        assert any("going on with the search of" in text for text in desk.said)


def test_killed_again_and_again_it_comes_to_its_end_with_the_same_answer(desk: Desk) -> None:
    whole = desk.search()
    desk.store = desk.folder / "again.sqlite"
    kills = 0
    while True:
        try:
            tuned = desk.search(dies_at=7)
            break
        except Killed:
            kills += 1
    assert kills > 3
    assert without_times(tuned) == without_times(whole)


def test_the_budget_counts_what_earlier_runs_took(desk: Desk) -> None:
    whole = desk.search()
    desk.store = desk.folder / "killed.sqlite"
    desk.search_until_killed(desk.bench.asked)
    tuned = desk.search()
    assert tuned.search.seconds == pytest.approx(whole.search.seconds, abs=0.2)


def test_an_interrupted_search_answers_and_goes_on_another_time(desk: Desk) -> None:
    whole = desk.search()
    questions = desk.bench.asked
    desk.store = desk.folder / "interrupted.sqlite"
    assert desk.search(dies_at=questions - 3, interrupted=True).status == "interrupted"
    assert without_times(desk.search()) == without_times(whole)
    assert desk.bench.asked == 4


def test_what_was_answered_is_answered_from_the_store(desk: Desk) -> None:
    first = desk.search()
    again = desk.search(output=desk.folder / "model.autotune.json")
    assert again == first
    assert desk.bench.asked == 0
    assert f"answered from the store: measured on {first.search.started_at}" in desk.said[0]
    assert config_file.read(desk.folder / "model.autotune.json") == first


def test_a_model_that_was_renamed_is_the_same_model(desk: Desk) -> None:
    desk.search()
    desk.model = desk.model.rename(desk.folder / "renamed.onnx")
    assert desk.search(name="renamed.onnx").model.name == "renamed.onnx"
    assert desk.bench.asked == 0


def test_fresh_starts_over(desk: Desk) -> None:
    desk.search_until_killed(20)
    tuned = desk.search(keeping=Keeping(store=desk.store, fresh=True, allow_shared=True))
    questions = desk.bench.asked
    assert questions > 20
    assert desk.said == ["learning from 21 earlier searches"]
    assert desk.search() == tuned  # the latest counts


def test_another_question_is_another_search(desk: Desk) -> None:
    desk.search()
    for change in (
        {"slo": Slo(latency_ms=60)},
        {"seed": 1},
        {"budget_s": 61.0},
        {"traffics": [Traffic(load_rps=20)]},
    ):
        desk.search(**change)
        assert desk.bench.asked > 0, change


def _other_model(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    desk.model.write_bytes(b"another model")


def _upgraded(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(premises_module, "version", lambda package: f"9.{len(package)}")


def _other_quota(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    machine = structs.replace(this_machine(), cpu_quota=1.5)

    def smaller(with_gpus: bool = False) -> Machine:
        return machine

    patch.setattr(premises_module, "this_machine", smaller)


@pytest.mark.parametrize(
    ("change", "named", "finished"),
    [
        (_other_model, "the model's file changed", True),
        (_upgraded, r"onnxruntime: \d.* became 9\.11", False),
        (_other_quota, "the CPU quota: none became 1.5", True),
    ],
)
def test_what_changed_is_named_and_measured_anew(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Desk, pytest.MonkeyPatch], None],
    named: str,
    finished: bool,
) -> None:
    blank = Learning(blank=True)  # or the second search would need less
    desk.search(learning=blank)
    questions = desk.bench.asked
    desk.store = desk.folder / "other.sqlite"
    desk.search(learning=blank) if finished else desk.search_until_killed(questions, learning=blank)
    change(desk, monkeypatch)
    desk.search(learning=blank)
    assert desk.bench.asked == questions
    (said,) = desk.said
    assert said.startswith("measuring anew: since ")
    assert re.search(named, said)


def test_a_file_that_belongs_to_the_model_is_part_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = desk.folder / "model.onnx.data"
    weights.write_bytes(b"weights")
    inspect = MortalBench.inspect

    def with_weights(self: MortalBench, requests_folder: str | None = None) -> object:
        return structs.replace(inspect(self, requests_folder), files=(str(weights),))

    monkeypatch.setattr(MortalBench, "inspect", with_weights)
    desk.search()
    desk.search()
    assert desk.bench.asked == 0
    weights.write_bytes(b"other weights")
    desk.search()
    assert desk.bench.asked > 0
    assert f"{weights} changed" in desk.said[0]


def test_two_at_once_do_not_write_into_each_others_search(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.search_until_killed(10)
    monkeypatch.setattr(memory_module, "is_gone", lambda owner: False)
    desk.search()
    assert not any("going on" in text for text in desk.said)


def test_a_record_that_cannot_be_read_is_measured_again(desk: Desk) -> None:
    whole = desk.search()
    questions = desk.bench.asked
    desk.store = desk.folder / "killed.sqlite"
    desk.search_until_killed(questions)
    with sqlite3.connect(desk.store) as connection:
        connection.execute("UPDATE records SET outcome = x'00' WHERE kind = 'measure' AND id < 40")
        (spoilt,) = connection.execute(
            "SELECT count(*) FROM records WHERE outcome = x'00'"
        ).fetchone()
    assert spoilt
    assert without_times(desk.search()) == without_times(whole)
    assert desk.bench.asked == spoilt + 1


def test_a_store_that_fails_on_the_way_is_said_once_and_made_good_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, calls = Store.keep, []

    def full(self: Store, search: int, rows: list[object]) -> None:
        calls.append(rows)
        if 10 < len(calls) < 20:
            self._connection.execute("PRAGMA max_page_count = 1")
        elif len(calls) == 20:
            self._connection.execute("PRAGMA max_page_count = 1000000")
        keep(self, search, [row._replace(outcome=row.outcome + b" " * 9999) for row in rows])  # type: ignore[attr-defined]

    monkeypatch.setattr(Store, "keep", full)
    desk.search()
    warnings = [text for text in desk.said if "cannot be kept for the time being" in text]
    assert len(warnings) == 1
    assert "full" in warnings[0]
    assert (
        desk.said.count(
            "the store can be written again; nothing that was measured is missing in it"
        )
        == 1
    )
    questions = desk.bench.asked
    with sqlite3.connect(desk.store) as connection:
        kinds = "('service_times', 'measure')"
        query = f"SELECT count(*) FROM records WHERE kind IN {kinds}"
        assert connection.execute(query).fetchone() == (questions,)


def test_a_store_that_is_removed_or_spoilt_on_the_way_is_written_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = MortalBench.measure

    def spoiling(self: MortalBench, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        if self.asked == 20:
            desk.store.unlink()
        return measure(self, trial, judge)

    monkeypatch.setattr(MortalBench, "measure", spoiling)
    whole = desk.search()
    questions = desk.bench.asked
    assert desk.search() == whole
    with sqlite3.connect(desk.store) as connection:
        query = "SELECT count(*) FROM records WHERE kind IN ('service_times', 'measure')"
        assert connection.execute(query).fetchone() == (questions,)


def test_without_a_place_for_the_default_store_it_is_said_and_gone_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.folder / "file"))
    tuned = desk.search(keeping=Keeping(allow_shared=True))
    assert tuned.policy
    assert desk.said[0].startswith("measurements are not kept, so a search that dies starts over")
    with pytest.raises(UsageError, match=r"--store .*file: cannot be made a folder"):
        desk.search(keeping=Keeping(store=desk.folder / "file" / "x", allow_shared=True))


def test_every_figure_can_be_computed_again_from_what_is_stored(desk: Desk) -> None:
    whole = desk.search()
    with sqlite3.connect(desk.store) as connection:
        connection.execute("UPDATE searches SET answer = NULL")
    assert without_times(desk.search()) == without_times(whole)
    assert desk.bench.asked == 0


def test_premises_are_records_that_read_themselves_again(desk: Desk) -> None:
    desk.search()
    with sqlite3.connect(desk.store) as connection:
        text, samples = connection.execute("SELECT premises, started_at FROM searches").fetchone()
    premises = msgspec.json.decode(text, type=Premises)
    assert premises.machine.cores_usable >= 1
    assert set(premises.versions) >= {"autotune", "Python", "onnxruntime"}
    assert samples.endswith("+00:00")


def test_raw_samples_and_arrivals_are_stored(desk: Desk) -> None:
    desk.search()
    with sqlite3.connect(desk.store) as connection:
        rows = connection.execute("SELECT asked, outcome FROM records WHERE kind = 'measure'")
        asked, outcome = rows.fetchone()
    _, kind, trial = msgspec.msgpack.decode(asked, type=tuple[str, str, TrialSpec])
    known = msgspec.msgpack.Decoder(Known[Measured | Failed], dec_hook=wire.array_of_bytes).decode(
        zlib.decompress(outcome)
    )
    assert kind == "measure"
    assert isinstance(known.outcome, Measured)
    assert known.outcome.scheduled_s.tolist() == trial.arrivals_s[: known.outcome.served]
    assert trial.order_seed
