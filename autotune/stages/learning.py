"""What is known from other searches when one begins: the past, as far as it is of use."""

import gzip
from collections.abc import Callable, Mapping
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
from autotune.traits import MachineTraits, ModelTraits

STARTER = "starter-1.json.gz"
"""Lessons that come with the package."""


class Past(NamedTuple):
    """What other searches found."""

    lessons: Mapping[str, Lesson] = {}
    """By who teaches them."""
    machine: MachineTraits | None = None
    """What this machine is like; None: nothing is to be learnt."""
    versions: tuple[Version, ...] = ()
    """Searches that were asked the same of other models here, the latest first."""
    hear: Callable[[], Mapping[str, Lesson]] = dict
    """Returns what others have taught since it was last called."""
    teach: Callable[[Lesson], None] = lambda lesson: None
    """Lets others learn from this search before its end."""

    def version_of(self, info: ModelInfo) -> Version | None:
        """Return the latest search for a model of the same graph; None: there is none."""
        graph = info.traits.graph_sha256
        if graph is None:
            return None
        return next((one for one in self.versions if _graph(one.tuned) == graph), None)


NO_PAST = Past()


class Pupil:
    """What one search has learnt from others by now.

    Attributes:
        experience: what is made of it; None: nothing was learnt.
    """

    def __init__(self, past: Past, traits: ModelTraits, task: Task, observe: Observer) -> None:
        """Learn from the past, and say so."""
        self._past, self._traits, self._task, self._observe = past, traits, task, observe
        self._lessons: dict[str, Lesson] = {}
        self.experience: Experience | None = None
        self._when = "earlier "
        self.hear(past.lessons)
        self._when = ""

    def hear(self, lessons: Mapping[str, Lesson]) -> bool:
        """Take in lessons, by who teaches them; return whether any of them is news.

        A later lesson of a search holds all that an earlier did, and takes its place. One that
        holds less is of a search that repeats its steps.
        """
        known = self._lessons
        news = {
            sender: one
            for sender, one in lessons.items()
            if sender not in known or (_rows(one) >= _rows(known[sender]) and one != known[sender])
        }
        if self._past.machine is None or not news:
            return False
        self._lessons = known | news
        self.experience = Experience(
            list(self._lessons.values()), self._traits, self._past.machine, self._task
        )
        count = len(self.experience.lessons)
        if len(self._lessons) > len(known):
            text = f"learning from {count} {self._when}search"
            self._observe(Said(text=f"{text}{'es' if count != 1 else ''}"))
        return True


def _rows(lesson: Lesson) -> int:
    return len(lesson.times) + len(lesson.latencies)


def recollect(question: Question, memory: Memory, observe: Observer) -> Past:
    """Gather what past searches teach, as far as this one is to learn from them.

    Raises:
        UsageError: something to learn from cannot be read, or teaches nothing.
    """
    learning = question.learning
    if question.engine is not None:
        return _of_engine(question.engine, observe)
    lessons = {} if learning.blank else memory.lessons()
    for path in learning.sources:
        lessons |= {f"{path} {number}": one for number, one in enumerate(read_lessons(path))}
    if not learning.blank:
        lessons |= {f"{STARTER} {number}": one for number, one in enumerate(starter_lessons())}
    anew = learning.blank or question.keeping.fresh
    versions = () if anew else tuple(memory.versions())
    hear = dict if learning.blank else memory.hear
    return Past(lessons, machine_traits(observe), versions, hear, memory.teach)


def _of_engine(engine: TunedFile, observe: Observer) -> Past:
    """A server runs what the engine did: nothing that others found is as close to it."""
    if engine.lesson is None:
        return NO_PAST
    return Past({"engine": engine.lesson}, machine_traits(observe))


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
