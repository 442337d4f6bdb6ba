"""Records of queues that changed, or did not, against files that promise what they were."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace
from promised import TUNED, through_server
from queueing import serve
from searched import SPREAD, System, searched
from watch_alarms import KINDS, Kind, watched

from autotune.arrivals import Traffic, draw
from autotune.config_file import TunedFile
from autotune.drift.judge import Watched, judge
from autotune.drift.records import Change, DriftReport
from autotune.observed import Observed
from autotune.outcome import Samples
from autotune.patterns import Bursty

LOADS_RPS = (30.0, 80.0, 120.0)
SERVICE_MS = 6.0
FILE = searched(System(chosen_ms=SERVICE_MS, requests=1200), 1, LOADS_RPS)
"""What a search would have found of the queue that is simulated here."""


class Spell(NamedTuple):
    """So many requests at a load, each served `slower` times as slowly as in the file."""

    requests: int
    load_rps: float = 75.0
    slower: float = 1.0


def record(seed: int, *spells: Spell, gaps_s: Samples | None = None) -> Observed:
    rng = np.random.default_rng(seed)
    if gaps_s is None:
        gaps_s = np.concatenate([rng.exponential(1 / one.load_rps, one.requests) for one in spells])
    slower = np.concatenate([np.full(one.requests, one.slower) for one in spells])
    noise = rng.standard_normal(len(gaps_s))
    services_s = 1e-3 * SERVICE_MS * slower * np.exp(SPREAD * noise - SPREAD**2 / 2)
    sojourn_s, _ = serve(gaps_s[None], services_s[None])
    return Observed(np.cumsum(gaps_s), 1e3 * sojourn_s[0])


def report(found: Observed, tuned: TunedFile = FILE) -> DriftReport:
    return judge(Watched(tuned, "model.autotune.json", found, "latencies.csv", 0.01, 0.1))


def the_change(found: DriftReport, kind: str) -> Change:
    (change,) = [one for one in found.changes if one.kind == kind]
    return change


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[1], KINDS[3], KINDS[5]], ids=lambda one: one.name)
def test_a_queue_that_did_not_change_raises_no_alarm(kind: Kind) -> None:
    """As rarely as stated; at length in benchmarks/watch_alarms.py."""
    short = kind._replace(requests=8_000)
    found = watched(TUNED, short, records=40, seed=3)
    assert sum(bool(one.changes) for one in found) <= 1


def test_a_promise_that_is_the_very_truth_raises_none_either() -> None:
    kind = KINDS[3]._replace(requests=8_000)
    found = watched(TUNED, kind, records=40, seed=9, exact=True)
    assert sum(bool(one.changes) for one in found) <= 1


def test_loads_that_come_and_go_within_the_table_fit() -> None:
    spells = [Spell(2_000, load_rps) for load_rps in (25, 75, 110, 60, 28, 100, 40, 75)]
    found = report(record(4, *spells))
    assert found.answer == "fits"
    assert found.changes == []
    assert sum(one.requests for one in found.levels) > 12_000


def test_a_slower_service_is_seen_with_its_time_its_size_and_the_entry_to_measure() -> None:
    found = report(record(1, Spell(6_000), Spell(6_000, slower=1.6)))
    assert found.answer in ("drifted", "slo_missed")
    change = the_change(found, "slower")
    assert change.load_rps == 80.0
    assert abs(change.since_s - 6_000 / 75.0) < 8.0
    assert change.until_s is None
    assert change.proven_after is not None
    assert change.proven_after <= 2_500
    assert change.factor is not None
    assert change.low is not None
    assert 1.0 < change.low <= change.factor
    (step,) = [one for one in found.next_steps if "check" in one]
    assert step.endswith("`autotune check model.autotune.json magika: --load 80`")
    assert "x" in change.text
    assert "at 80/s latency is" in change.text


def test_a_spell_that_ended_is_said_to_have_ended() -> None:
    found = report(record(2, Spell(5_000), Spell(2_000, slower=2.0), Spell(8_000)))
    change = the_change(found, "slower")
    assert change.until_s is not None
    assert abs(change.since_s - 5_000 / 75.0) < 10.0
    assert abs(change.until_s - 7_000 / 75.0) < 15.0
    assert " from " in change.text


def test_requests_that_are_never_answered_are_over_everything() -> None:
    calm = record(5, Spell(6_000))
    lost = np.where((np.arange(6_000) > 3_000) & (np.arange(6_000) % 3 == 0), math.inf, 0.0)
    found = report(Observed(calm.arrived_s, calm.latency_ms + lost))
    assert found.answer == "slo_missed"
    assert the_change(found, "slo_missed").factor is None
    level = next(one for one in found.levels if one.load_rps == 80.0)
    assert level.lost > 500
    assert level.p99 is not None
    assert level.p99.value_ms is None


def test_a_load_above_the_table_is_to_be_searched_for() -> None:
    found = report(record(3, Spell(4_000), Spell(14_000, load_rps=180.0)))
    change = the_change(found, "above_the_table")
    assert (change.load_rps, change.percentile) == (None, None)
    assert change.factor == pytest.approx(180 / 120, rel=0.1)
    assert abs(change.since_s - 4_000 / 75.0) < 5.0
    assert found.outside > 6_000
    step = next(one for one in found.next_steps if "autotune search" in one)
    assert step.endswith("--loads 30,80,120,220`")


def test_bursts_that_nobody_measured_are_told_from_a_slower_service() -> None:
    traffic = Traffic(load_rps=60.0, pattern=Bursty(factor=6.0))
    times_s = draw(traffic, 200.0, (1,))
    gaps_s = np.diff(times_s, prepend=0.0)
    found = report(record(6, Spell(len(gaps_s)), gaps_s=gaps_s))
    change = the_change(found, "burstier")
    assert change.factor is not None
    assert change.factor > 2.0
    assert "--trace latencies.csv" in found.next_steps[0]
    assert "--arrivals" not in found.next_steps[0]


def test_the_bursts_that_were_measured_are_no_news() -> None:
    tuned = replace(FILE, arrivals="bursty x6")
    times_s = draw(Traffic(load_rps=60.0, pattern=Bursty(factor=6.0)), 400.0, (2,))
    gaps_s = np.diff(times_s, prepend=0.0)
    found = report(record(7, Spell(len(gaps_s)), gaps_s=gaps_s), tuned)
    assert "burstier" not in {one.kind for one in found.changes}


def test_a_clock_turned_poisson_is_burstier() -> None:
    found = report(record(8, Spell(12_000)), replace(FILE, arrivals="constant"))
    assert "burstier" in {one.kind for one in found.changes}


def test_several_loads_that_are_all_slower_accuse_machine_or_model() -> None:
    spells = [Spell(4_000, load_rps, slower=1.5) for load_rps in (29.0, 78.0) * 2]
    found = report(record(9, *spells))
    assert found.reasons[0].startswith("every load that was seen is slower")
    assert "machine or the model" in found.reasons[0]
    assert found.next_steps[0].endswith("`autotune check model.autotune.json magika:`")
    assert not any("--load " in one for one in found.next_steps)


def test_one_load_of_several_that_is_slower_accuses_its_entry() -> None:
    spells = [Spell(4_000, 29.0), Spell(4_000, 78.0, slower=1.7)] * 2
    found = report(record(10, *spells))
    assert {one.load_rps for one in found.changes if one.kind == "slower"} == {80.0}
    assert any(one.endswith("--load 80`") for one in found.next_steps)


def test_a_faster_service_is_news_too() -> None:
    found = report(record(11, Spell(9_000, 90.0, slower=0.5)))
    change = next(one for one in found.changes if one.load_rps == 120.0)
    assert (found.answer, change.kind, change.percentile) == ("drifted", "faster", 50.0)
    assert change.factor is not None
    assert change.factor < 0.7
    assert "search again" in found.next_steps[0]


def test_a_lower_load_is_not_called_faster() -> None:
    assert report(record(12, Spell(9_000, 40.0))).changes == []
    assert report(record(13, Spell(9_000, 10.0))).changes == []


def test_a_short_record_is_not_enough() -> None:
    found = report(record(14, Spell(250)))
    assert (found.answer, found.changes) == ("too_little", [])
    assert "longer" in found.next_steps[0]
    tiny = report(record(15, Spell(5)))
    assert (tiny.answer, tiny.requests) == ("too_little", 5)


def test_what_was_only_predicted_is_to_be_measured() -> None:
    predicted = [replace(one, measured=None, meets_slo=False) for one in FILE.policy]
    repeat = ["magika:", "--slo", "50ms"]
    tuned = replace(FILE, policy=predicted, repeat=repeat)
    found = report(record(16, Spell(6_000)), tuned)
    assert found.answer == "too_little"
    assert found.reasons == [
        "the file only predicts what was seen: nothing was measured at that load"
    ]
    assert found.next_steps[0].startswith(
        "measure what the file only predicts: `autotune measure magika: --slo 50ms --load 80.0"
    )


def test_notes_name_gaps_in_the_table_and_what_is_not_compared() -> None:
    found = report(record(17, Spell(6_000)), replace(FILE, arrivals="trace"))
    assert found.notes[0].startswith("how arrivals came in the trace")
    assert "nothing was measured between 30/s and 80/s" in found.notes[1]
    assert found.notes[1].endswith("--loads 30,49,80,120`")
    gaps = report(record(17, Spell(6_000)), replace(FILE, arrivals="poisson with 2 s gaps"))
    assert any("gaps" in one for one in gaps.notes)


def test_who_watches_is_told_of_the_server_that_the_file_is_about() -> None:
    found = report(record(17, Spell(6_000)), through_server(FILE))
    (note,) = (one for one in found.notes if "was measured through litserve 0.2.19" in one)
    assert note.endswith("hold what that server logs against it")
    assert not any("through" in one for one in report(record(17, Spell(6_000))).notes)


def test_a_stricter_reader_sees_fewer_alarms() -> None:
    found = record(18, Spell(3_000), Spell(1_200, slower=1.5))
    proven = [
        bool(judge(Watched(FILE, "f", found, "o", share, 0.1)).changes)
        for share in (0.5, 0.01, 1e-9)
    ]
    assert proven == sorted(proven, reverse=True)
