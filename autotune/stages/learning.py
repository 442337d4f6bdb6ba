"""What is known from other searches when one begins: the past, as far as it is of use."""

import gzip
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.errors import ConfigFileError, StoreError, UsageError
from autotune.learn.experience import Experience
from autotune.learn.places import Task
from autotune.lesson import Lesson, Starter
from autotune.outcome import ModelInfo
from autotune.stages.events import Observer, Said
from autotune.stages.memory import Memory, Version, readable
from autotune.stages.question import Question
from autotune.stages.starting import check_source
from autotune.stages.traits import machine_traits
from autotune.store.reading import answers_in, is_store
from autotune.traits import MachineTraits

STARTER = "starter-1.json.gz"
"""Lessons that come with the package."""


class Past(NamedTuple):
    """What other searches found."""

    lessons: tuple[Lesson, ...] = ()
    machine: MachineTraits | None = None
    """What this machine is like; None: nothing is to be learnt."""
    versions: tuple[Version, ...] = ()
    """Searches that were asked the same of other models here, the latest first."""

    def experience(self, info: ModelInfo, task: Task, observe: Observer) -> Experience | None:
        """Return what the past says of a search, and say so; None: nothing."""
        if self.machine is None or not self.lessons:
            return None
        found = Experience(self.lessons, info.traits, self.machine, task)
        count = len(found.lessons)
        observe(Said(text=f"learning from {count} earlier search{'es' if count != 1 else ''}"))
        return found

    def version_of(self, info: ModelInfo) -> Version | None:
        """Return the latest search for a model of the same graph; None: there is none."""
        graph = info.traits.graph_sha256
        if graph is None:
            return None
        return next((one for one in self.versions if _graph(one.tuned) == graph), None)


NO_PAST = Past()


def recollect(question: Question, memory: Memory, observe: Observer) -> Past:
    """Gather what past searches teach, as far as this one is to learn from them.

    Raises:
        UsageError: something to learn from cannot be read, or teaches nothing.
    """
    learning = question.learning
    if question.engine is not None:
        return _of_engine(question.engine, observe)
    own = [] if learning.blank else memory.answers()
    lessons = [one.lesson for one in own if one.lesson is not None]
    for path in learning.sources:
        lessons += read_lessons(path)
    if not learning.blank:
        lessons += starter_lessons()
    anew = learning.blank or question.keeping.fresh
    versions = () if anew else tuple(memory.versions())
    return Past(tuple(lessons), machine_traits(observe), versions)


def _of_engine(engine: TunedFile, observe: Observer) -> Past:
    """A server runs what the engine did: nothing that others found is as close to it."""
    if engine.lesson is None:
        return NO_PAST
    return Past((engine.lesson,), machine_traits(observe))


def read_lessons(path: Path) -> list[Lesson]:
    """Return what a tuned file, or a store, has to teach.

    Raises:
        UsageError: it is neither, cannot be read, or teaches nothing.
    """
    check_source(path)
    try:
        tuned = readable(answers_in(path)) if is_store(path) else [config_file.read(path)]
    except (ConfigFileError, StoreError) as error:
        raise UsageError(f"--learn-from {error}") from None
    found = [one.lesson for one in tuned if one.lesson is not None]
    if not found:
        raise UsageError(
            f"--learn-from {path}: teaches nothing: it was written before lessons were kept "
            "(schema version 7), or holds no search that came to its end; search again, or leave "
            "it out"
        )
    return found


def starter_lessons() -> list[Lesson]:
    """Return the lessons that come with the package."""
    packed = (files("autotune.learn") / STARTER).read_bytes()
    return list(msgspec.json.decode(gzip.decompress(packed), type=Starter).lessons)


def _graph(tuned: TunedFile) -> str | None:
    return None if tuned.lesson is None else tuned.lesson.model.graph_sha256
