"""A search through a server, on one screen: the engine's answer first, then the server's.

What the engine answers is the prediction, and what is measured first: a server is slow to start,
so few measurements must do. The store answers an engine's search that was made before.
"""

from msgspec import structs

from autotune import config_file, tune
from autotune.config_file import TunedFile
from autotune.servers.bench import ServerBench
from autotune.stages.events import Observer, Said, Started
from autotune.stages.question import Question


def search(question: Question, observe: Observer = lambda event: None) -> TunedFile:
    """Search as `tune.search` does, through the question's target if it has one.

    Each of the two searches has the whole budget, and what is measured of both is kept.

    Raises:
        UsageError: the server ignores its settings, or as `tune.search`.
        ServerError: the server starts with no configuration.
        ModelError, MeasureError: as `tune.search`.
        KeyboardInterrupt: interrupted before there was any answer of the server.
    """
    if question.target is None:
        return tune.search(question, observe)
    if question.output is not None:
        config_file.check_writable(question.output)
    observe(
        Said(text="first the engine's own answer, from which the search through the server starts")
    )
    engine = tune.search(question.of_engine, observe)
    if engine.status == "interrupted":
        raise KeyboardInterrupt
    observe(Said(text=f"the engine by itself: {engine.summary}"))
    observe(Started(step=f"searching through {question.target.describe()}"))
    tuned = tune.search(structs.replace(question, engine=engine), observe, ServerBench)
    if question.target.url is not None:
        text = "has the configuration that was measured last: give it the answer"
        observe(Said(text=f"{question.target.describe()} {text}"))
    return tuned
