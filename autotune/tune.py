"""READ FIRST: a whole search, a single measurement, and a check, on one screen each.

    recollect   what earlier searches teach
    survey      inspect the model, profile a few corners, predict every configuration at every load
    explore     ask the strategy what can still change the answer, measure it, tell, until settled
    confirm     the finalists against the runtime's default, interleaved
    answer      winners, evidence and the sentence, as one file

The rooms: `space` says where one may look, `predict` what a point should do, `strategy` which
point is next, `trial` measures it in a process of its own with the `engine` that users embed,
`stats` turns logs into numbers, `learn` takes what others found. `stages` holds the steps.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.search_info import StopReason
from autotune.stages.alone import alone
from autotune.stages.answer import Ended, answer, as_asked
from autotune.stages.confirm import confirm
from autotune.stages.context import Context
from autotune.stages.events import Observer, Said, Started
from autotune.stages.explore import explore
from autotune.stages.gate import GateReport, judge_gate
from autotune.stages.gate_rounds import GateQuestion, measure_gate
from autotune.stages.goal import start
from autotune.stages.journal import Journal
from autotune.stages.kept_bench import KeptBench
from autotune.stages.learning import recollect
from autotune.stages.measurement import Measurement
from autotune.stages.memory import Memory, recording, remembering
from autotune.stages.premises import asked_to_check, asked_to_measure
from autotune.stages.question import (
    DEFAULT_BUDGET_S,
    Deadline,
    MeasureQuestion,
    Question,
    allowed_by,
)
from autotune.stages.reference import take_reference
from autotune.stages.single import inspect, measure_alone, measure_rounds
from autotune.stages.survey import survey
from autotune.stages.weigh import weigh
from autotune.trial.bench import Bench
from autotune.trial.measures import Measures


class Opens(Protocol):
    """Opens what measures for a search."""

    def __call__(self, question: Question, observe: Observer) -> AbstractContextManager[Measures]:
        """Return it, as a context."""


def _open_bench(question: Question, observe: Observer) -> Bench:
    return Bench(question.model, question.allowed)


def search(
    question: Question, observe: Observer = lambda event: None, opens: Opens = _open_bench
) -> TunedFile:
    """Find the best configuration for each load, write the file if one is named, and return it.

    What is measured is kept in the store: a search that was ended goes on where it stopped, and
    one that was answered is not made again. An interrupt (Ctrl-C) after the first complete answer
    ends the search early: the file is written from what was measured, with status `interrupted`.

    Raises:
        UsageError: the output cannot be written, or shapes or inputs do not fit the model.
        ModelError: the model cannot be loaded or run.
        MeasureError: nothing could be measured.
        KeyboardInterrupt: interrupted before there was any answer.
    """
    if question.output is not None:
        config_file.check_writable(question.output)
    observe(Started(step="reading the model"))
    with alone(question.keeping, observe), remembering(question, observe) as memory:
        if memory.answer is not None:
            tuned = as_asked(memory.answer, question)
        else:
            tuned = _measured(question, memory, observe, opens)
            memory.keep_answer(tuned)
    if question.output is not None:
        config_file.write(question.output, tuned)
    return tuned


def _measured(question: Question, memory: Memory, observe: Observer, opens: Opens) -> TunedFile:
    with opens(question, observe) as measuring:
        bench, past = KeptBench(measuring, memory), recollect(question, memory, observe)
        if question.engine is not None and (search := memory.search_of(question.of_engine)):
            bench.presume(search)  # the profile of its model
        deadline = Deadline(question.budget_s or DEFAULT_BUDGET_S, bench.now_s)
        journal = Journal(question.slo, deadline)
        context = Context(question, bench, journal, deadline, observe, past)
        ground = survey(context)
        strategy = start(question, ground)
        stopped: StopReason
        try:
            take_reference(context, "costs before", ground.info.run_s)
            stopped = explore(context, ground, strategy)
            take_reference(context, "costs after", ground.info.run_s)
            confirm(context, ground, strategy)
        except KeyboardInterrupt:
            stopped = "interrupted"
            observe(Said(text="interrupted: writing the best so far"))
    observe(Started(step="writing the answer"))
    ended = Ended(stopped, memory.started_at, memory.model_sha256)
    return answer(context, ground, strategy, ended)


def check(question: GateQuestion, observe: Observer = lambda event: None) -> GateReport:
    """Measure again what a tuned file promises, and say whether it still holds.

    Raises:
        UsageError, ModelError: the model, its inputs or the budget cannot be used.
        MeasureError: a configuration fails.
    """
    asked = asked_to_check(question)
    with (
        alone(question.keeping, observe),
        recording("check", asked, question.model, question.keeping, observe) as memory,
        Bench(question.model, allowed_by([question.entry.config])) as measuring,
    ):
        bench = KeptBench(measuring, memory)
        return judge_gate(question, measure_gate(question, bench, observe))


def measure(question: MeasureQuestion, observe: Observer = lambda event: None) -> Measurement:
    """Measure one configuration, or two in interleaved rounds, as a search does.

    Raises:
        UsageError: shapes or inputs do not fit the model, or the configuration cannot be run here.
        ModelError: the model cannot be loaded or run.
        MeasureError: a configuration fails, or changes the model's answers.
    """
    asked = asked_to_measure(question)
    with (
        alone(question.keeping, observe),
        recording("measure", asked, question.model, question.keeping, observe) as memory,
        Bench(question.model, allowed_by(question.configs)) as measuring,
    ):
        bench = KeptBench(measuring, memory)
        info = inspect(question, bench, observe)
        if question.other is None:
            return weigh(question, info, [measure_alone(question, bench, observe)])
        return weigh(question, info, measure_rounds(question, bench, observe))
