"""The joint answer in words, where the loads cannot be met: what fails, and how."""

from pathlib import Path

import pytest
from msgspec import structs

from autotune.arrivals import Traffic
from autotune.records import Summary
from autotune.spec import ModelSpec
from autotune.together import file
from autotune.together.question import Service, Step
from autotune.together.records import TogetherFile
from autotune.together.sentence import summarize_together

GOLDEN = Path(__file__).parents[1] / "golden" / "v2.together.json"


@pytest.fixture
def missed() -> TogetherFile:
    return file.read(GOLDEN)


def said(found: TogetherFile, **changed: Summary) -> str:
    """Return the summary, with other measurements of some services."""
    best = found.contenders[0]
    served = [
        structs.replace(one, measured=changed.get(one.service, one.measured)) for one in best.served
    ]
    services = [
        Service(
            name=one.name,
            steps=(Step(name=one.name, model=ModelSpec(path="")),),
            slo=one.slo,
            traffic=Traffic(load_rps=one.load_rps),
        )
        for one in found.services
    ]
    contenders = [structs.replace(best, served=served), *found.contenders[1:]]
    return summarize_together(contenders, found.versus, services, found.largest_scale)


def test_all_that_fail_are_named_with_what_was_seen(missed: TogetherFile) -> None:
    assert "a (p99 376 ms of 40 ms) and b (p99 464 ms of 40 ms) miss with" in said(missed)


def test_of_lost_requests_there_is_no_percentile(missed: TogetherFile) -> None:
    seen = missed.contenders[0].served[0].measured
    lost = structs.replace(seen, objective=structs.replace(seen.objective, value_ms=None))
    assert "a (too many requests lost for a p99) and b (p99 " in said(missed, a=lost)


def test_one_that_is_met_is_not_named(missed: TogetherFile) -> None:
    assert missed.largest_scale is not None
    met = missed.largest_scale.served[0].measured
    assert "together: b (p99 464 ms of 40 ms) misses with" in said(missed, a=met)
