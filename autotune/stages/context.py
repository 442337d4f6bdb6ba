"""What every stage needs at hand."""

from typing import NamedTuple

from autotune.stages.events import Observer
from autotune.stages.journal import Journal
from autotune.stages.learning import NO_PAST, Past
from autotune.stages.question import Deadline, Question
from autotune.trial.measures import Measures


class Context(NamedTuple):
    """One search under way."""

    question: Question
    bench: Measures
    journal: Journal
    deadline: Deadline
    observe: Observer
    past: Past = NO_PAST
