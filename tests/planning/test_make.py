"""A whole plan: made-up machine types, a drawn trace, a price list."""

import msgspec
import numpy as np
import pytest
from msgspec import structs
from tuned_types import made_types

from autotune.planning.arriving import arriving_of
from autotune.planning.make import make_plan
from autotune.planning.prices import Prices, make_prices
from autotune.planning.question import PlanQuestion
from autotune.planning.records import Plan
from autotune.present.document import as_text
from autotune.present.fleet import fleet_page
from autotune.spec import Slo

SLO = Slo(latency_ms=60.0)
FILES = made_types([0.4, 1.0], SLO)
PRICES = make_prices(
    {
        "currency": "EUR",
        "machines": {
            name: {"price_per_hour": price, "start": "45s"}
            for name, price in zip(FILES, (0.05, 0.10), strict=True)
        },
    },
    "prices",
)
FUNCTION = {
    "price_per_request": 2e-7,
    "price_per_gb_second": 1.7e-5,
    "memory_mib": [1769, 3538],
    "like": next(iter(FILES)),
}


def question(prices: Prices = PRICES, slo: Slo = SLO, top_rps: float = 900.0) -> PlanQuestion:
    rng = np.random.default_rng(5)
    seconds = np.arange(1200)
    rates_rps = 10 + (top_rps - 10) * (np.abs(seconds - 700) < 60)
    each = rng.poisson(rates_rps)
    times_s = np.sort(np.repeat(seconds, each) + rng.random(each.sum()))
    return PlanQuestion(
        files=FILES,
        names={name: f"{name}.autotune.json" for name in FILES},
        prices=prices,
        arriving=arriving_of(times_s, "trace"),
        slo=slo,
        step_s=15.0,
        seed=0,
        notes=("A note.",),
    )


def of_trace(times_s: list[float], prices: Prices) -> Plan:
    arriving = arriving_of(np.array(times_s), "trace")
    return make_plan(question(prices)._replace(arriving=arriving))


def with_function(**changes: object) -> Prices:
    table = {
        "currency": "EUR",
        "machines": {name: {"price_per_hour": 0.05} for name in FILES},
        "functions": {"f": {**FUNCTION, **changes}},
    }
    return make_prices(table, "prices")


@pytest.fixture(scope="module")
def plain() -> Plan:
    return make_plan(question())


def test_the_cheapest_that_meets_the_slo_is_chosen(plain: Plan) -> None:
    assert plain.answer == "met"
    chosen = plain.policy(plain.chosen) if plain.chosen else None
    assert chosen is not None
    assert chosen.attainment >= 0.99
    deployable = [one for one in plain.policies if one.kind != "oracle" and one.meets_slo]
    assert chosen.cost == min(one.cost for one in deployable)
    oracle = plain.policy("oracle")
    assert oracle is not None
    assert oracle.cost <= chosen.cost
    assert chosen.to_oracle == pytest.approx(chosen.cost / oracle.cost)
    assert plain.summary.startswith("Run ")


def test_every_policy_takes_part_in_order_and_draws_its_course(plain: Plan) -> None:
    kinds = ["peak", "static", "reactive_hpa", "reactive_ray", "predictive", "oracle"]
    assert [one.kind for one in plain.policies] == kinds
    for one in plain.policies:
        assert one.series
        assert all(len(moment.machines) == len(plain.types) for moment in one.series)
        assert one.cost_per_million == pytest.approx(1e6 * one.cost / plain.trace.requests)


def test_rates_and_requests_agree_on_machines_that_just_keep_the_slo(plain: Plan) -> None:
    off = plain.aggregation
    assert off is not None
    assert off.attainment == pytest.approx(off.exact_attainment, abs=0.02)


def test_it_is_read_back_from_its_json(plain: Plan) -> None:
    assert msgspec.json.decode(msgspec.json.encode(plain), type=Plan) == plain
    assert plain == make_plan(question())


def test_each_type_says_what_it_runs_up_to_its_capacity(plain: Plan) -> None:
    for one in plain.types:
        rates = [level.rate_rps for level in one.serves]
        assert rates == sorted(rates)
        assert rates[-1] == pytest.approx(one.capacity_rps)
        assert all(level.latency_ms <= 1.01 * SLO.latency_ms for level in one.serves)


def test_an_slo_that_no_type_meets_names_the_nearest_and_what_it_would_take() -> None:
    plan = make_plan(question(slo=Slo(latency_ms=0.01)))
    assert (plan.answer, plan.chosen, plan.policies) == ("not_met", None, [])
    assert plan.nearest is not None
    nearest = min(plan.types, key=lambda one: one.nearest_ms)
    assert f"Nearest is {nearest.name}" in plan.nearest
    assert all(one.capacity_rps == 0 and one.serves == [] for one in plan.types)


def test_too_few_machines_are_named_as_what_would_have_to_change() -> None:
    few = {name: structs.replace(one, most=1) for name, one in PRICES.machines.items()}
    plan = make_plan(question(structs.replace(PRICES, machines=few)))
    assert plan.answer == "not_met"
    assert plan.nearest is not None
    assert "more machines" in plan.nearest


def test_a_function_takes_what_machines_cannot_and_is_told_with_both_tails() -> None:
    plan = make_plan(question(with_function()))
    assert plan.function is not None
    assert plan.function.percentile > SLO.percentile
    assert plan.function.analytic_ms <= SLO.latency_ms
    assert plan.function.simulated_ms <= SLO.latency_ms
    spill_over = plan.policy("spill_over")
    assert spill_over is not None
    assert spill_over.spilled_share > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"memory_mib": [4]}, "none of its sizes meets"), ({"like": "m1"}, None)],
)
def test_a_function_that_cannot_serve_is_left_out_and_said(
    changes: dict[str, object], told: str | None
) -> None:
    plan = make_plan(question(with_function(**changes), top_rps=300.0))
    if told is None:
        assert plan.function is not None
    else:
        assert plan.function is None
        assert any(told in note for note in plan.notes)


def test_what_was_known_of_the_files_is_passed_on(plain: Plan) -> None:
    assert "A note." in plain.notes
    assert plain.trace.notes == []
    assert [one.file for one in plain.types] == [f"{name}.autotune.json" for name in FILES]


@pytest.mark.parametrize(
    "times_s",
    [
        [0.0, 1e-6],
        [0.0, 0.001, 0.002],
        [0.0, 86_400.0],
        [0.0] * 500 + [1.0],
        pytest.param([0.0] + [5000.0] * 5000, marks=pytest.mark.slow),
        pytest.param([0.0, 3.0, 1e7], marks=pytest.mark.slow),
    ],
)
def test_the_strangest_traces_have_a_plan(times_s: list[float]) -> None:
    plan = of_trace(times_s, with_function())
    assert plan.trace.requests == len(times_s)
    assert as_text(fleet_page(plan), 80)
