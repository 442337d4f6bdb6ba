from msgspec.structs import replace
from planned_fleet import PLAN

from autotune.planning.words import machines_text


def test_machines_are_told_by_how_many_there_are() -> None:
    policy = replace(PLAN.policies[0], least_machines=[1, 2], most_machines=[3, 2])
    assert machines_text(policy, PLAN.types) == "1 to 3 c7g.large and 2 c7i.xlarge"
    idle = replace(policy, least_machines=[0, 2], most_machines=[0, 2])
    assert machines_text(idle, PLAN.types) == "2 c7i.xlarge"


def test_of_many_types_the_most_used_are_told() -> None:
    types = [replace(PLAN.types[0], name=f"t{place}") for place in range(6)]
    policy = replace(
        PLAN.policies[0],
        least_machines=[1] * 6,
        most_machines=[1, 1, 1, 1, 1, 0],
        machine_hours=[1.0, 5.0, 3.0, 2.0, 9.0, 0.0],
    )
    assert machines_text(policy, types) == "1 t4, 1 t1, 1 t2 and 2 more types"
