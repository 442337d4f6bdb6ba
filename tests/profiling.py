"""What a profile needs around it, with a bench that keeps what it was asked."""

from pathlib import Path

from flat import CORES, INFO

from autotune.spec import ModelSpec, SessionShape, Slo
from autotune.stages.context import Context
from autotune.stages.events import Event
from autotune.stages.journal import Journal
from autotune.stages.profile import Subject
from autotune.stages.question import Deadline, Question
from autotune.trial.bench import Bench


class AskedBench(Bench):
    """Keeps which sessions were asked for, with batches of which size."""

    def __init__(self) -> None:
        super().__init__(ModelSpec(path="asked"))
        self.asked: list[tuple[SessionShape, int]] = []


def subject(bench: Bench, events: list[Event], budget_s: float = 60) -> Subject:
    question = Question(
        model=bench.model,
        name="asked",
        slo=Slo(latency_ms=100),
        traffics=None,
        budget_s=None,
        max_trials=None,
        seed=0,
        output=Path("unused"),
    )
    journal = Journal(question.slo, Deadline(60.0))
    context = Context(question, bench, journal, Deadline(budget_s), events.append)
    return Subject(context, INFO, CORES, None)
