"""Strategies that other packages bring, found by the entry point that they install.

    [project.entry-points."autotune.strategies"]
    annealing = "annealing_strategy:make"

`make` is called with a `Setting` and returns a `Strategy` (both in `autotune.strategy.protocol`).
Nothing heavy is loaded for their names.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, NamedTuple

from autotune.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from autotune.strategy.protocol import Setting, Strategy

GROUP = "autotune.strategies"
BUILT_IN = "rrl"
"""The search of autotune itself; no package can replace it."""


class Plugin(NamedTuple):
    """A strategy of another package."""

    name: str
    package: str
    """With its version."""
    make: "Callable[[Setting], Strategy]"

    def fault(self, text: str) -> UsageError:
        """Return a complaint about it."""
        return UsageError(f"--strategy {self.name}: {self.package} {text}")


def names() -> list[str]:
    """Return the strategies there are, the built-in first."""
    return [BUILT_IN, *sorted({point.name for point in _points()} - {BUILT_IN})]


def check(name: str) -> str:
    """Return the name of a strategy that can be used.

    Raises:
        UsageError: as `find`.
    """
    if name != BUILT_IN:
        find(name)
    return name


def find(name: str) -> Plugin:
    """Return what a package brings by a name, loaded.

    Raises:
        UsageError: nothing has this name, or two packages do, or it cannot be loaded or called.
    """
    point = _point(name)
    unmade = Plugin(name, _package(point), _never)
    try:
        make = point.load()
    except (Exception, SystemExit) as error:  # anything may happen in a foreign module
        raise unmade.fault(f"cannot be loaded: {in_a_line(error)}") from error
    if not callable(make):
        raise unmade.fault(
            f"brings {point.value}, which is no function that makes a strategy of a Setting"
        )
    return unmade._replace(make=make)


def origin(name: str) -> str:
    """Return a strategy's name with its package and version; nothing of it is loaded.

    Raises:
        UsageError: nothing has this name, or two packages do.
    """
    return f"{name} of {_package(_point(name))}"


def in_a_line(error: BaseException) -> str:
    """Return the kind of an error and what it says."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def _points() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def _point(name: str) -> EntryPoint:
    found = {(_package(point), point.value): point for point in _points() if point.name == name}
    if not found:
        known = names()
        hint = did_you_mean(name, known)
        raise UsageError(f"--strategy {name}: is none of {', '.join(known)}{hint}")
    if len(found) > 1:
        both = " and ".join(sorted(package for package, _ in found))
        raise UsageError(f"--strategy {name}: comes with {both}: only one of them may bring it")
    return next(iter(found.values()))


def _package(point: EntryPoint) -> str:
    if point.dist is None:
        return point.value.partition(":")[0]
    return f"{point.dist.name} {point.dist.version}"


def _never(setting: "Setting") -> "Strategy":
    raise AssertionError("it was not loaded")
