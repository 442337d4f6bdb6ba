"""`--dry-run`: what would be measured and for how long, for people or as JSON."""

from typing import TYPE_CHECKING

import typer

from autotune.cli.exit_codes import ExitCode
from autotune.cli.live import watch
from autotune.cli.page import print_page
from autotune.present.planned import AnyPlan, plan_page
from autotune.stages import plan
from autotune.tabular import to_json

if TYPE_CHECKING:
    from autotune.servers.verify_policy import Place, PolicyQuestion
    from autotune.stages.gate_rounds import GateQuestion
    from autotune.stages.question import MeasureQuestion, Question


def plan_search(question: "Question", verbosity: int, json: bool) -> int:
    """Print what a search would do."""
    with watch(verbosity) as observe:
        found = plan.plan_search(question, observe)
    return _tell(found, json)


def plan_measure(question: "MeasureQuestion", verbosity: int, json: bool) -> int:
    """Print what a measurement would do."""
    with watch(verbosity) as observe:
        found = plan.plan_measure(question, observe)
    return _tell(found, json)


def plan_check(question: "GateQuestion", verbosity: int, json: bool) -> int:
    """Print what a check would do."""
    with watch(verbosity) as observe:
        found = plan.plan_gate(question, observe)
    return _tell(found, json)


def plan_verify(question: "PolicyQuestion", place: "Place", json: bool) -> int:
    """Print what a verification would do."""
    from autotune.servers.plan import plan_verify

    return _tell(plan_verify(question, place), json)


def _tell(found: AnyPlan, json: bool) -> int:
    if json:
        typer.echo(to_json(found), nl=False)
    else:
        print_page(plan_page(found))
    return ExitCode.ANSWERED
