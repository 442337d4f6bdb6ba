"""Autoscalers' settings: whole YAML with the fields that these read, and the plan's own numbers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from nasty import ALL, filled
from planned_fleet import DAY_S, PLAN, UNMET

from autotune.errors import UsageError
from autotune.planning.autoscalers import LONGEST_NAME, dns_name, hpa_yaml, keda_yaml, ray_yaml
from autotune.planning.cron import Floor, daily_floors
from autotune.planning.records import Plan, PolicyPlanned

GOLDEN = Path(__file__).parents[1] / "golden" / "plan"
WRITERS = {"hpa": hpa_yaml, "keda": keda_yaml, "ray": ray_yaml}
NO_DATES = replace(PLAN, trace=replace(PLAN.trace, began=None))
_EVIL = filled(NO_DATES, ALL)
# The keys of settings are the program's own.
NASTY = replace(
    _EVIL,
    policies=[
        replace(one, settings=plain.settings)
        for one, plain in zip(_EVIL.policies, PLAN.policies, strict=True)
    ],
)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def policy(kind: str) -> PolicyPlanned:
    return next(one for one in PLAN.policies if one.kind == kind)


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_is_the_golden_file(name: str) -> None:
    assert WRITERS[name](PLAN) == (GOLDEN / f"{name}.yaml").read_text()


def test_a_horizontal_pod_autoscaler_has_the_fields_of_autoscaling_v2() -> None:
    found = documents(hpa_yaml(PLAN))
    scaled = policy("reactive_hpa")
    assert [one["metadata"]["name"] for one in found] == ["magika-c7g-large", "magika-c7i-xlarge"]
    for place, one in enumerate(found):
        assert (one["apiVersion"], one["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
        spec = one["spec"]
        assert set(spec) == {
            "scaleTargetRef",
            "minReplicas",
            "maxReplicas",
            "metrics",
            "behavior",
        }
        assert spec["scaleTargetRef"]["kind"] == "Deployment"
        assert spec["minReplicas"] == max(1, scaled.least_machines[place])
        assert spec["maxReplicas"] == scaled.most_machines[place]
        (metric,) = spec["metrics"]
        assert metric["type"] == "Pods"
        assert metric["pods"]["metric"] == {"name": "requests_per_second"}
        target = metric["pods"]["target"]
        assert target["type"] == "AverageValue"
        assert float(target["averageValue"]) == 0.6 * PLAN.types[place].capacity_rps
        _is_behavior(spec["behavior"])


def _is_behavior(found: dict[str, Any]) -> None:
    assert set(found) == {"scaleUp", "scaleDown"}
    assert found["scaleDown"] == {"stabilizationWindowSeconds": 300}
    assert found["scaleUp"]["stabilizationWindowSeconds"] == 0
    for rule in found["scaleUp"]["policies"]:
        assert set(rule) == {"type", "value", "periodSeconds"}
        assert rule["type"] in ("Percent", "Pods")


def test_a_rate_that_is_no_whole_number_is_a_quantity_in_thousandths() -> None:
    odd = replace(PLAN, types=[replace(one, capacity_rps=3.3333) for one in PLAN.types])
    metric = documents(hpa_yaml(odd))[0]["spec"]["metrics"][0]
    assert metric["pods"]["target"]["averageValue"] == "1999m"
    assert documents(keda_yaml(odd))[0]["spec"]["triggers"][0]["metadata"]["threshold"] == "1.999"


def test_a_scaled_object_has_the_fields_of_keda_and_the_hours_of_every_day() -> None:
    found = documents(keda_yaml(PLAN))
    for one in found:
        assert (one["apiVersion"], one["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
        spec = one["spec"]
        assert set(spec) == {
            "scaleTargetRef",
            "minReplicaCount",
            "maxReplicaCount",
            "pollingInterval",
            "advanced",
            "triggers",
        }
        _is_behavior(spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"])
        first, *crons = spec["triggers"]
        assert first["type"] == "prometheus"
        # KEDA reads all metadata as texts.
        assert {type(value) for value in first["metadata"].values()} == {str}
        assert set(first["metadata"]) == {"serverAddress", "query", "threshold"}
        assert crons
        for cron in crons:
            assert cron["type"] == "cron"
            assert set(cron["metadata"]) == {"timezone", "start", "end", "desiredReplicas"}
            assert cron["metadata"]["start"] != cron["metadata"]["end"]
            assert int(cron["metadata"]["desiredReplicas"]) <= spec["maxReplicaCount"]


@pytest.mark.parametrize(
    "plan",
    [NO_DATES, replace(PLAN, trace=replace(PLAN.trace, seconds=1.9 * DAY_S))],
    ids=["no dates", "less than two days"],
)
def test_without_two_days_of_dates_there_are_no_hours_to_keep(plan: Plan) -> None:
    for one in documents(keda_yaml(plan)):
        assert [trigger["type"] for trigger in one["spec"]["triggers"]] == ["prometheus"]


def test_hours_are_those_that_every_day_needed() -> None:
    first = policy("oracle").series[0]

    def at(hour: int, machines: int) -> object:
        return replace(first, at_s=3600.0 * hour, machines=[machines, 0])

    def of(*days: list[int]) -> list[Floor]:
        machines = [count for day in days for count in day]
        series = [at(hour, count) for hour, count in enumerate(machines)]
        trace = replace(PLAN.trace, seconds=len(days) * DAY_S)
        one = replace(policy("oracle"), series=series)
        return daily_floors(replace(PLAN, trace=trace), one, 0)

    night = [3] * 3 + [1] * 18 + [3] * 3
    assert of(night, [9] * 24) == [Floor(3, 21, 1, 2), Floor(21, 3, 3, 2)]
    assert of([2] * 24, [2] * 24) == []
    assert of(night) == []


def test_ray_s_deployments_have_the_fields_of_its_autoscaling_config() -> None:
    (found,) = documents(ray_yaml(PLAN))
    scaled = policy("reactive_ray")
    for place, one in enumerate(found["deployments"]):
        assert set(one) == {"name", "max_ongoing_requests", "autoscaling_config"}
        assert one["max_ongoing_requests"] == 1024
        assert one["autoscaling_config"] == {
            "min_replicas": max(1, scaled.least_machines[place]),
            "max_replicas": scaled.most_machines[place],
            "target_ongoing_requests": 2.5,
            "look_back_period_s": 30.0,
            "upscale_delay_s": 30.0,
            "downscale_delay_s": 600.0,
        }


def test_a_type_that_never_runs_is_left_out() -> None:
    scaled = replace(policy("reactive_hpa"), most_machines=[4, 0], least_machines=[1, 0])
    (one,) = documents(hpa_yaml(replace(PLAN, policies=[scaled])))
    assert one["metadata"]["name"] == "magika-c7g-large"


@pytest.mark.parametrize("write", WRITERS.values())
def test_without_numbers_nothing_is_written(write: Callable[[Plan], str]) -> None:
    with pytest.raises(UsageError, match="no plan meets p99 <= 10 ms"):
        write(UNMET)
    with pytest.raises(UsageError, match="takes no part in the plan"):
        write(replace(PLAN, policies=[policy("oracle")]))


@pytest.mark.parametrize("name", WRITERS)
def test_names_of_strangers_stay_names(name: str) -> None:
    text = WRITERS[name](NASTY)
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    plain = documents(WRITERS[name](NO_DATES))
    for one, clean in zip(documents(text), plain, strict=True):
        assert _shape(one) == _shape(clean)
        names = [one["metadata"]["name"]] if "metadata" in one else []
        names += [each["name"] for each in one.get("deployments", [])]
        assert all(_LABEL.fullmatch(each) and len(each) <= LONGEST_NAME for each in names)
        assert len(set(names)) == len(names)


def _shape(value: object) -> object:
    """What is left of a document without its texts."""
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return "text" if isinstance(value, str) else value


def test_two_types_of_one_label_get_two_names() -> None:
    alike = [replace(PLAN.types[0], name="C7g Large"), replace(PLAN.types[1], name="c7g.large")]
    found = documents(hpa_yaml(replace(PLAN, types=alike)))
    assert len({one["metadata"]["name"] for one in found}) == 2


@given(st.text(), st.text())
def test_any_names_make_a_label(one: str, other: str) -> None:
    found = dns_name(one, other)
    assert _LABEL.fullmatch(found)
    assert len(found) <= LONGEST_NAME
