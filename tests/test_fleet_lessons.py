"""Machine types on paper that are searched side by side, as the benchmark does it."""

import fleet_lessons
import pytest


@pytest.mark.slow
def test_types_hear_of_each_other_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_lessons, "MOST", 2)
    made = [fleet_lessons.searcher(cores, 20, 1, 0) for cores in (4, 8)]
    before = made[0].lesson()
    assert before.times
    assert before.latencies == []
    fleet_lessons.run(made, "beside")
    assert [one.learnt_from for one in made] == [1, 1]
    assert [one.ended().measurements for one in made] == [2, 2]
    assert all(one.ended().regret >= 0 for one in made)
    assert len(made[0].lesson().latencies) == 2
