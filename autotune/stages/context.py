"""What every stage needs at hand."""

from typing import NamedTuple

from autotune.stages.events import Observer
from autotune.stages.journal import Journal
from autotune.stages.question import Deadline, Question
from autotune.trial.bench import Bench


class Context(NamedTuple):
    """One search under way."""

    question: Question
    bench: Bench
    journal: Journal
    deadline: Deadline
    observe: Observer
