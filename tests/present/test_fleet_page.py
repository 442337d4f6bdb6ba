"""A plan as a page: the answer first; every width; nothing of strangers steers a terminal."""

import pytest
from msgspec.structs import replace
from nasty import ALL, filled
from planned_fleet import PLAN, UNMET

from autotune.planning.records import Plan
from autotune.present.document import Line, Table, as_html, as_text
from autotune.present.fleet import MOST_TYPES, fleet_page

NO_DATES = replace(PLAN, trace=replace(PLAN.trace, began=None))
CROWDED = replace(
    PLAN,
    types=[replace(PLAN.types[0], name=f"type-{n}") for n in range(40)],
    policies=[
        replace(
            one,
            machine_hours=[1.0] * 40,
            most_machines=[2] * 7 + [0] * 33,
            least_machines=[1] * 7 + [0] * 33,
            series=[replace(m, machines=[2] * 7 + [0] * 33) for m in one.series[:5]],
        )
        for one in PLAN.policies
    ],
)
TOP = """\
magika:, SLO p99 <= 50 ms, requests.csv: 52,200,000 requests in 48 h, 302/s on
average, 1,736/s in the busiest 15 min; prices in USD as of 2026-09-16
Run 1 to 2 c7g.large and 0 to 3 c7i.xlarge, scaled to a forecast, and let
lambda-arm64 take what they cannot: 0.136 USD a million requests.
106.50 USD for 30 days of this traffic; p99 44.2 ms, 99.6 % within the SLO.

machine     how many  each up to  runs                 p99 ms   USD/h  a million
c7g.large   1 to 2          54/s  2 x 1 thread           31.0  0.0725      0.224
                            90/s  2 x 1 thread, batch    49.2
                                  4, wait 5 ms
c7i.xlarge  0 to 3          96/s  4 x 1 thread           31.0  0.1785      0.310
                           160/s  4 x 1 thread, batch    49.2
                                  4, wait 5 ms
As a function: lambda-arm64, 1,769 MiB, batches of up to 4 after 10 ms: p99.25
43.1 ms by the analytic model, 44.0 ms simulated; 2.41 USD a million requests; a
cold start takes 2 s.
"""


def test_the_answer_comes_first_then_what_to_run() -> None:
    assert as_text(fleet_page(PLAN), 80).startswith(TOP)


def test_every_policy_has_a_row_and_the_chosen_one_stands_out() -> None:
    tables = [part for part in fleet_page(PLAN) if isinstance(part, Table)]
    policies = tables[-1]
    assert len(policies.rows) == len(PLAN.policies)
    strong = [row.cells for row in policies.rows if row.tone == "strong"]
    assert [(cells[0], cells[-1]) for cells in strong] == [
        ("by a forecast, with spill-over", "met, chosen")
    ]
    missed = [row.cells[0] for row in policies.rows if row.tone == "bad"]
    assert missed == ["by utilisation (HPA)", "by requests in flight (Ray)"]
    assert [row.cells[5] for row in policies.rows if row.cells[5] == "lost"] == ["lost"]


def test_the_course_over_time_has_the_load_and_the_machines() -> None:
    text = as_text(fleet_page(PLAN), 80)
    assert "11-03 08:00     1,736/s" in text
    assert "from (UTC)" in text
    undated = as_text(fleet_page(NO_DATES), 80)
    assert "from (UTC)" not in undated
    assert "4 h" in undated


def test_how_sure_it_is_is_told() -> None:
    text = " ".join(part.text for part in fleet_page(PLAN) if isinstance(part, Line))
    assert "90 s ahead: off by 6.1 % of the load (the last value as it is: 9.4 %)" in text
    assert "simulation request by request of 400,000 has 99.5 % and 45.6 ms" in text
    assert "note: No request for 12 min" in text
    assert "note: The price list has no tuned file for m7g.large" in text
    poisson = replace(PLAN, trace=replace(PLAN.trace, phase_rps=(300.0, 300.0)))
    assert "two phases" not in as_text(fleet_page(poisson))


def test_without_a_plan_the_nearest_is_named_and_what_would_have_to_change() -> None:
    page = fleet_page(UNMET)
    assert Line("Nothing meets p99 <= 10 ms.", "bad") in page
    text = as_text(page)
    assert "-> Nearest is peak" in text
    assert "misses the SLO:" in text
    assert "for 30 days" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("plan", [PLAN, UNMET, NO_DATES, CROWDED])
def test_it_fits_the_terminal(plan: Plan, width: int) -> None:
    assert max(map(len, as_text(fleet_page(plan), width).splitlines())) <= width


def test_of_many_types_the_first_are_shown_and_the_rest_counted() -> None:
    text = as_text(fleet_page(CROWDED), 80)
    assert f"and {40 - MOST_TYPES} more machine types" in text
    assert "type-39" not in text
    assert "2 type-0, 2 type-1" in text


def test_names_of_strangers_steer_nothing() -> None:
    page = fleet_page(filled(replace(PLAN, trace=replace(PLAN.trace, began=None)), ALL))
    text = as_text(page, 80)
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "<script" not in as_html(page)
