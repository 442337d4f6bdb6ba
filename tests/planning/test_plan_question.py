"""Which file is of which machine type, and which files can be planned with together."""

import numpy as np
import pytest
from msgspec.structs import replace
from tuned_types import made_type

from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.planning.arriving import Arriving, arriving_of
from autotune.planning.prices import Prices, make_prices
from autotune.planning.question import (
    Asked,
    GivenFile,
    PlanQuestion,
    check_step_s,
    make_question,
)
from autotune.spec import Slo

ASKED = Asked(latency_ms=None, percentile=None, step_s=30.0, seed=0)


def listed(*names: str) -> Prices:
    machines = {name: {"price_per_hour": 1} for name in names}
    functions = {"f": {"price_per_request": 0, "price_per_gb_second": 1, "memory_mib": 1024}}
    return make_prices({"currency": "USD", "machines": machines, "functions": functions}, "prices")


def arriving() -> Arriving:
    return arriving_of(np.arange(100.0), "trace")


def asked(
    *given: tuple[str | None, str, TunedFile], prices: Prices, rest: Asked = ASKED
) -> PlanQuestion:
    return make_question([GivenFile(*one) for one in given], prices, rest, arriving)


def test_a_file_is_of_the_type_that_is_named_or_that_it_is_called_like() -> None:
    found = asked(
        ("small", "x/y.json", made_type()),
        (None, "x/c7g.large.autotune.json", made_type()),
        (None, "mid.json", made_type()),
        prices=listed("small", "c7g.large", "mid", "spare"),
    )
    assert found.names == {
        "small": "x/y.json",
        "c7g.large": "x/c7g.large.autotune.json",
        "mid": "mid.json",
    }
    assert list(found.files) == list(found.names)
    assert found.slo == Slo(latency_ms=50.0, percentile=99.0)
    assert found.notes == ("No tuned file is given for spare of the price list: left out.",)


def test_the_only_file_is_of_the_only_machine() -> None:
    found = asked((None, "model.autotune.json", made_type()), prices=listed("box"))
    assert found.names == {"box": "model.autotune.json"}


@pytest.mark.parametrize(
    ("names", "machines", "said"),
    [
        ([(None, "c7g-large.json")], ("c7g.large", "b"), "c7g.large, b; did you mean 'c7g.large'?"),
        ([(None, "m.json")], ("a", "b"), "for by NAME=FILE, with NAME one of a, b"),
        ([("abc", "m.json")], ("abd", "x"), "has no machine 'abc'; did you mean 'abd'?"),
        ([("zz", "m.json")], ("ab", "c"), "has no machine 'zz': it has ab, c"),
        ([("a", "x.json"), (None, "a.json")], ("a", "b"), "x.json and a.json are both of a"),
        ([("a", "x.json")], (), "the price list has no machines"),
        ([("a", "x.json")], tuple(f"m{n}" for n in range(30)), "and 20 more"),
        ([], ("a",), "no tuned file is given"),
    ],
)
def test_what_fits_no_machine_is_refused(
    names: list[tuple[str | None, str]], machines: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        asked(*((name, file, made_type()) for name, file in names), prices=listed(*machines))
    assert said in str(refused.value)


def test_files_of_two_models_or_of_two_kinds_of_requests_are_refused() -> None:
    one = made_type()
    other = replace(one, model=replace(one.model, sha256="0" * 64, name="other\x1b"))
    bigger = replace(one, model=replace(one.model, request_shapes={"bytes": [1, 4096]}))
    prices = listed("a", "b")
    with pytest.raises(UsageError, match=r"different models .*plan for one at a time") as refused:
        asked(("a", "a.json", one), ("b", "b.json", other), prices=prices)
    assert str(refused.value).isprintable()
    with pytest.raises(UsageError, match=r"different requests \(bytes 1x2048, and bytes 1x4096\)"):
        asked(("a", "a.json", one), ("b", "b.json", bigger), prices=prices)


def test_a_file_of_an_older_autotune_is_refused_with_what_to_do() -> None:
    old = replace(made_type(), service=None)
    with pytest.raises(UsageError, match=r"a\.json: an older autotune wrote it.*search again"):
        asked(("a", "a.json", old), prices=listed("a"))


def test_the_slo_is_the_files_own_unless_they_differ() -> None:
    one, other = made_type(), made_type(slo=Slo(latency_ms=80.0, percentile=99.0))
    given = ("a", "a.json", one), ("b", "b.json", other)
    prices = listed("a", "b")
    with pytest.raises(UsageError, match=r"p99 <= 50 ms, p99 <= 80 ms\): give --slo"):
        asked(*given, prices=prices)
    found = asked(*given, prices=prices, rest=ASKED._replace(latency_ms=80.0))
    assert found.slo == Slo(latency_ms=80.0, percentile=99.0)
    assert found.notes == (
        "a.json was tuned for p99 <= 50 ms: its configurations may not be the best for "
        "p99 <= 80 ms.",
    )
    tail = made_type(slo=Slo(latency_ms=50.0, percentile=95.0))
    with pytest.raises(UsageError, match="give --percentile"):
        asked(("a", "a.json", one), ("b", "b.json", tail), prices=prices)


def test_other_runtimes_and_interrupted_searches_are_told() -> None:
    one = made_type()
    other = replace(one, runtime="onnxruntime 9.9\x1b", status="interrupted")
    found = asked(("a", "a.json", one), ("b", "b.json", other), prices=listed("a", "b"))
    assert f"different runtimes ({one.runtime}, onnxruntime 9.9\\x1b)" in found.notes[0]
    assert "b.json: its search was interrupted" in found.notes[1]


def test_the_trace_is_read_last() -> None:
    def read() -> Arriving:
        raise AssertionError("read")

    given = [GivenFile("zz", "a.json", made_type())]
    with pytest.raises(UsageError, match="has no machine"):
        make_question(given, listed("a"), ASKED, read)
    with pytest.raises(UsageError, match="--seed -1 must lie between 0 and"):
        make_question(given, listed("a"), ASKED._replace(seed=-1), read)


@pytest.mark.parametrize("step_s", [0.5, 3601.0, float("nan")])
def test_a_step_is_a_second_to_an_hour(step_s: float) -> None:
    with pytest.raises(UsageError, match="--step 'x' must be at least 1 s and at most an hour"):
        check_step_s(step_s, "--step 'x'")
    assert check_step_s(30.0, "--step") == 30.0
