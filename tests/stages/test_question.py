from autotune.spec import Allowed, ServingConfig
from autotune.stages.question import Deadline, allowed_by


def test_what_is_left_out_does_not_count_but_has_passed() -> None:
    now_s = 100.0
    deadline = Deadline(80.0, lambda: now_s)
    now_s = 130.0
    assert (deadline.elapsed_s, deadline.spent_s, deadline.left_s) == (30, 30, 50)
    opening_s = 20.0
    deadline.leave_out(lambda: opening_s)
    assert (deadline.elapsed_s, deadline.spent_s, deadline.left_s) == (30, 10, 70)
    opening_s = 1000.0  # never more than the budget: what opens for ever still ends
    now_s = 1200.0
    assert (deadline.spent_s, deadline.left_s) == (1020, 0)


def test_what_is_measured_must_be_allowed() -> None:
    compiled = ServingConfig(form="compiled")
    assert allowed_by([ServingConfig()]) == Allowed(providers=["cpu"])
    assert allowed_by([ServingConfig(), compiled]) == Allowed(forms=["compiled"], providers=["cpu"])
    on_gpu = ServingConfig(provider="tensorrt")
    assert allowed_by([on_gpu]) == Allowed(device="cuda", providers=["tensorrt"])
