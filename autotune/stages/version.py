"""A model of a graph that was searched for before, with other weights."""

from autotune.config_file import TunedFile
from autotune.stages.events import Said
from autotune.stages.profile import Subject, corner_alone

SAME_SPEED = 1.15
"""A model whose lone execution takes as long as its former version's, within this factor, is
presumed to follow the same law."""


def former_version(on: Subject) -> TunedFile | None:
    """Return what was found for a model of the same graph, if this one is as quick; else None.

    Its profile then stands for this model's, but for one thread alone.
    """
    context = on.context
    version = context.past.version_of(on.info)
    if version is None or version.tuned.lesson is None:
        return None
    started_at, base_s = version.tuned.search.started_at, version.tuned.lesson.base_s
    alone_s = corner_alone(on)
    if alone_s is None or not 1 / SAME_SPEED <= alone_s / base_s <= SAME_SPEED:
        text = f"a version of the model of {started_at}, but not as quick: it is searched anew"
        context.observe(Said(text=text))
        return None
    text = f"a version of the model of {started_at}, with other weights: its profile is taken, "
    context.observe(Said(text=f"{text}and its answer verified; --fresh searches anew"))
    context.bench.presume(version.search)
    return version.tuned
