"""READ FIRST: a search for several models on one machine, on one screen.

survey     profile each model alone, and how much each pair slows each other down
space      the joint configurations that are worth a look, by prediction, one model moved at a time
explore    measure all models at the same time where that can still change the answer (RRL)
confirm    the best against each tuned alone, an even split and the runtime's defaults, interleaved
scaled     where no way keeps all SLOs, the largest share of the loads at which one does
answer     what is recommended, evidence and the sentence, as one file
"""

from autotune.config_file import to_json
from autotune.search_info import StopReason
from autotune.stages.alone import alone
from autotune.stages.events import Observer, Said, Started
from autotune.stages.question import DEFAULT_BUDGET_S, Deadline
from autotune.together import file
from autotune.together.answer import Ended, answer
from autotune.together.beliefs import Beliefs
from autotune.together.benches import Benches
from autotune.together.confirm import Finalist, confirm, field, whole_rounds
from autotune.together.explore import Hunt, begin_strategy, explore
from autotune.together.joints import Joint, alone_best, defaults, even_split, find_space
from autotune.together.kept import KeptBenches, MeasuresAll, remembering
from autotune.together.measuring import Windows
from autotune.together.question import TogetherQuestion
from autotune.together.records import TogetherFile, Way
from autotune.together.scaled import Tried, try_scales
from autotune.together.survey import survey


def search_together(
    question: TogetherQuestion, observe: Observer = lambda event: None
) -> TogetherFile:
    """Find how to run all models so that each keeps its SLO under the others' load.

    What is measured is kept in the store: a search that was ended goes on where it stopped, and
    one that was answered is not made again.

    Raises:
        UsageError: the output cannot be written, the store that was named cannot be used, or
            shapes or inputs do not fit a model.
        ModelError: a model cannot be loaded or run.
        MeasureError: nothing could be measured.
        KeyboardInterrupt: interrupted before there was any answer.
    """
    if question.output is not None:
        file.check_writable(question.output)
    with alone(question.keeping, observe), remembering(question, observe) as (memory, found):
        if found is None:
            models = question.models
            with Benches([one.spec for one in models], [one.step > 0 for one in models]) as benches:
                kept = KeptBenches(benches, memory, models)
                found = search_with(kept, question, observe, memory.started_at)
            if found.status != "interrupted":
                memory.keep_text(to_json(found))
    if question.output is not None:
        file.write(question.output, found)
    return found


def search_with(
    benches: MeasuresAll, question: TogetherQuestion, observe: Observer, started_at: str
) -> TogetherFile:
    """Search with these benches; nothing is written.

    `started_at`: when the search began, be it in an earlier run: UTC, ISO 8601.

    Raises:
        As `search_together`.
    """
    services = question.services
    budget_s = question.budget_s or DEFAULT_BUDGET_S * len(question.models)
    deadline = Deadline(budget_s, benches.now_s)
    ground = survey(question, benches, deadline, observe)
    ways: list[tuple[Way, Joint]] = [("default", defaults(ground)), ("alone", alone_best(ground))]
    if (split := even_split(ground)) is not None:
        ways.append(("even split", split))
    space = find_space(ground, services, [joint for _, joint in ways])
    observe(Said(text=f"{len(space.joints)} joint configurations are worth a look"))
    beliefs = Beliefs(ground, services, space)
    strategy = begin_strategy(space, beliefs, question.seed)
    hunt = Hunt(
        question=question,
        ground=ground,
        space=space,
        beliefs=beliefs,
        strategy=strategy,
        benches=benches,
        windows=Windows(question, benches),
        deadline=deadline,
        observe=observe,
        trials=[],
        failed=set(),
    )
    stopped, finalists, tried = _measured(hunt, ways)
    observe(Started(step="writing the answer"))
    return answer(hunt, finalists, tried, Ended(stopped, started_at))


def _measured(
    hunt: Hunt, ways: list[tuple[Way, Joint]]
) -> tuple[StopReason, list[Finalist], list[Tried]]:
    """Explore, confirm and scale; an interrupt after the first whole round ends that early."""
    stopped = explore(hunt)
    finalists, tried = field(hunt, ways), list[Tried]()
    try:
        confirm(hunt, finalists)
        try_scales(hunt, finalists, tried)
    except KeyboardInterrupt:
        if not whole_rounds(finalists):
            raise
        hunt.observe(Said(text="interrupted: writing the best so far"))
        stopped = "interrupted"
    return stopped, finalists, tried
