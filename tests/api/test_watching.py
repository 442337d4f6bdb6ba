"""`autotune.watch`: files, arrays and what an engine remembers, held against a tuned file."""

import json
import math

import numpy as np
import pytest
from queueing import serve
from searched import SPREAD, System, searched

import autotune
from autotune.engine.live import LiveEngine
from autotune.outcome import Samples

TUNED = autotune.Tuned(searched(System(chosen_ms=6.0, requests=1200), 1, (30.0, 80.0)))


def requests(slower: float) -> tuple[Samples, Samples]:
    rng = np.random.default_rng(5)
    gaps_s = rng.exponential(1 / 75.0, 8_000)
    services_s = 6e-3 * np.exp(SPREAD * rng.standard_normal(8_000) - SPREAD**2 / 2)
    services_s[4_000:] *= slower
    sojourn_s, _ = serve(gaps_s[None], services_s[None])
    return np.cumsum(gaps_s), 1e3 * sojourn_s[0]


def test_arrays_are_held_against_the_file() -> None:
    found = autotune.watch(TUNED, observed=requests(1.0))
    assert (found.answer, found.fits, found.exit_code) == ("fits", True, 0)
    assert repr(found) == "<autotune.WatchResult: fits: what was seen at 80/s is as promised>"
    worse = autotune.watch(TUNED, observed=requests(1.5))
    assert (worse.answer, worse.fits, worse.exit_code) == ("drifted", False, 3)
    assert "since 5" in str(worse)
    assert json.loads(worse.to_json())["changes"][0]["kind"] == "slower"
    assert "<table" in worse._repr_html_()


def test_a_result_is_a_table_with_a_row_for_each_load() -> None:
    frame = autotune.watch(TUNED, observed=requests(1.0)).to_pandas()
    assert frame["load_rps"].tolist() == [30.0, 80.0]
    assert frame["answer"].tolist() == ["too_little", "fits"]
    assert math.isnan(frame["p50_ms"][0])
    assert frame["p50_low_ms"][1] < frame["p50_ms"][1] < frame["p50_high_ms"][1]


def test_lists_will_do() -> None:
    arrived_s, latency_ms = requests(1.0)
    found = autotune.watch(TUNED, observed=(arrived_s.tolist(), latency_ms.tolist()))
    assert found.record == autotune.watch(TUNED, observed=(arrived_s, latency_ms)).record


def test_what_an_engine_observed_can_be_given_as_it_is() -> None:
    with LiveEngine([lambda inputs: inputs], 1, 0.0) as engine:
        for future in [engine.submit({"x": np.zeros((1, 1))}) for _ in range(50)]:
            future.result(timeout=30.0)
        found = autotune.watch(TUNED, observed=engine.observed())
    assert found.record.requests == 50
    assert found.record.started_s > 1e9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"observed": 5}, "observed must be a CSV file, or arrivals in s and latencies in ms"),
        ({"observed": ([1.0],)}, "observed must be a CSV file"),
        ({"observed": (["a", "b"], [1, 2])}, "observed: arrivals and latencies must be numbers"),
        ({"observed": ([0.0, 1.0], [1.0])}, "observed: needs as many latencies as arrivals"),
        ({"observed": "none.csv"}, "observed='none.csv': cannot be read"),
        ({"observed": ([0, 1], [1, 1]), "false_alarms": 2}, "false_alarms=2 is not a share"),
        ({"observed": ([0, 1], [1, 1]), "tolerance": "1%"}, "tolerance='1%' is not a number"),
    ],
)
def test_a_mistake_is_said_in_the_words_of_python(given: dict[str, object], said: str) -> None:
    with pytest.raises(autotune.UsageError) as refused:
        autotune.watch(TUNED, **given)  # type: ignore[arg-type]
    assert str(refused.value).startswith(said)
