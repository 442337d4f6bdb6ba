"""What is asked of a plan: files, each of a machine type, with a trace, prices and an objective."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from autotune import config_file, fleet_file
from autotune.config_file import TunedFile
from autotune.errors import UsageError, did_you_mean
from autotune.given import LARGEST
from autotune.planning.arriving import Arriving
from autotune.planning.prices import Prices
from autotune.spec import Slo
from autotune.tabular import printable
from autotune.units import format_shape

STEP_S = 30.0
SHORTEST_STEP_S, LONGEST_STEP_S = 1.0, 3600.0
SUFFIXES = (".autotune.json", ".json")
MOST_NAMED = 10
"""In a sentence; a price list may hold hundreds."""


class PlanQuestion(NamedTuple):
    """Everything that a plan depends on."""

    files: Mapping[str, TunedFile]
    """By machine type; likewise, what each file is called:"""
    names: Mapping[str, str]
    prices: Prices
    arriving: Arriving
    slo: Slo
    step_s: float
    """Between decisions on how many machines there are."""
    seed: int
    notes: tuple[str, ...]
    """What there is to know about the files, each a sentence."""


class GivenFile(NamedTuple):
    """A tuned file, as a person gave it."""

    machine: str | None
    """Machine type, where it was named."""
    name: str
    """Of the file."""
    tuned: TunedFile


class Asked(NamedTuple):
    """What is not in any file."""

    latency_ms: float | None
    """Of the SLO; None: what the files say; likewise:"""
    percentile: float | None
    step_s: float
    seed: int


def given_files(machine: str | None, path: Path) -> list[GivenFile]:
    """Return a tuned file, or those of a fleet's file; machine types that are missing are not in.

    Args:
        machine: the type that a person named; of a fleet's file, which is meant.
        path: where it lies.

    Raises:
        ConfigFileError: it cannot be read.
        UsageError: there is no such type in it, or nothing was found on it.
    """
    if not fleet_file.is_fleet_file(path):
        return [GivenFile(machine, str(path), config_file.read(path))]
    fleet = fleet_file.read(path)
    if machine is not None:
        tuned = fleet_file.tuned_for(fleet, machine, path, f"{machine}={path}: machine type")
        return [GivenFile(machine, f"{path} ({machine})", tuned)]
    return [
        GivenFile(one.type, f"{path} ({printable(one.type)})", one.tuned)
        for one in fleet.machines
        if one.tuned is not None
    ]


def make_question(
    given: Sequence[GivenFile],
    prices: Prices,
    asked: Asked,
    read_arriving: Callable[[], Arriving],
    naming: str = "NAME=FILE",
) -> PlanQuestion:
    """Return what is asked; the trace, which may take long to read, is read when all else holds.

    Args:
        given: the tuned files, in the order in which they were given.
        prices: what machines and functions cost.
        asked: the rest.
        read_arriving: reads the trace.
        naming: how a person says which machine type a file is for, for complaints.

    Raises:
        UsageError: the files cannot be planned with, or contradict each other or the price list.
    """
    if not 0 <= asked.seed <= LARGEST:
        raise UsageError(f"--seed {asked.seed} must lie between 0 and {LARGEST}")
    by_type = by_machine(given, prices, naming)
    slo = slo_of(given, asked.latency_ms, asked.percentile)
    return PlanQuestion(
        files={machine: one.tuned for machine, one in by_type.items()},
        names={machine: one.name for machine, one in by_type.items()},
        prices=prices,
        arriving=read_arriving(),
        slo=slo,
        step_s=asked.step_s,
        seed=asked.seed,
        notes=notes_on(by_type, prices, slo),
    )


def check_step_s(step_s: float, where: str) -> float:
    """Return the time between decisions.

    Raises:
        UsageError: below a second, or above an hour.
    """
    if not SHORTEST_STEP_S <= step_s <= LONGEST_STEP_S:
        raise UsageError(f"{where} must be at least 1 s and at most an hour")
    return step_s


def by_machine(given: Sequence[GivenFile], prices: Prices, naming: str) -> dict[str, GivenFile]:
    """Return the files by machine type: as named, as the file is called, or the only one there is.

    Raises:
        UsageError: no files, a type that the list lacks, a type twice, or files that cannot be
            planned with together: see `_demand_one_model`.
    """
    if not given:
        raise UsageError("no tuned file is given: name one for each machine type")
    found: dict[str, GivenFile] = {}
    for file in given:
        machine = _machine_of(file, prices, naming, alone=len(given) == 1)
        if machine in found:
            raise UsageError(
                f"{found[machine].name} and {file.name} are both of {machine}: "
                "one file a machine type"
            )
        found[machine] = file
    _demand_service(given)
    _demand_one_model(given)
    return found


def slo_of(given: Sequence[GivenFile], latency_ms: float | None, percentile: float | None) -> Slo:
    """Return the objective: what is given of it, the rest as in all of the files.

    Raises:
        UsageError: the files differ in what is not given.
    """
    latencies = {file.tuned.slo.latency_ms for file in given}
    percentiles = {file.tuned.slo.percentile for file in given}
    for option, known, value in (
        ("--slo", latencies, latency_ms),
        ("--percentile", percentiles, percentile),
    ):
        if value is None and len(known) > 1:
            slos = _listed(dict.fromkeys(str(file.tuned.slo) for file in given))
            raise UsageError(f"the files were tuned for different SLOs ({slos}): give {option}")
    return Slo(
        latency_ms=latencies.pop() if latency_ms is None else latency_ms,
        percentile=percentiles.pop() if percentile is None else percentile,
    )


def notes_on(by_type: Mapping[str, GivenFile], prices: Prices, slo: Slo) -> tuple[str, ...]:
    """Return what a reader of the plan should know about the files, by machine type."""
    notes = []
    runtimes = dict.fromkeys(file.tuned.runtime for file in by_type.values())
    if len(runtimes) > 1:
        notes.append(
            f"The files were tuned with different runtimes ({_listed(runtimes)}): "
            "part of what tells the types apart may be that."
        )
    for file in by_type.values():
        if file.tuned.status == "interrupted":
            notes.append(f"{file.name}: its search was interrupted: the best so far is in it.")
        if file.tuned.slo != slo:
            notes.append(
                f"{file.name} was tuned for {file.tuned.slo}: its configurations may not be the "
                f"best for {slo}."
            )
    if unused := [name for name in prices.machines if name not in by_type]:
        notes.append(f"No tuned file is given for {_listed(unused)} of the price list: left out.")
    return tuple(notes)


def _machine_of(file: GivenFile, prices: Prices, naming: str, alone: bool) -> str:
    machines = prices.machines
    if not machines:
        raise UsageError("the price list has no machines: write a table [machines.NAME] for each")
    if file.machine is not None:
        if file.machine in machines:
            return file.machine
        hint = did_you_mean(file.machine, machines) or f": it has {_listed(machines)}"
        raise UsageError(f"the price list has no machine {printable(file.machine)!r}{hint}")
    stem = PurePath(file.name).name
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    if stem in machines:
        return stem
    if alone and len(machines) == 1:
        return next(iter(machines))
    raise UsageError(
        f"{file.name}: the price list has no machine {printable(stem)!r}: say which one it is for "
        f"by {naming}, with NAME one of {_listed(machines)}{did_you_mean(stem, machines)}"
    )


def _demand_service(given: Iterable[GivenFile]) -> None:
    """Refuse files that lack what the plan is made of.

    Raises:
        UsageError: an older autotune wrote one, or it was measured through a server.
    """
    for file in given:
        if file.tuned.target is not None:
            raise UsageError(
                f"{file.name}: was measured through {file.tuned.target.describe()}, and a plan "
                "reckons with executions by themselves: search without --target"
            )
        if file.tuned.service is None:
            raise UsageError(
                f"{file.name}: an older autotune wrote it, which does not hold how long executions "
                "take: search again"
            )


def _demand_one_model(given: Sequence[GivenFile]) -> None:
    """Refuse files whose numbers are of different things.

    Raises:
        UsageError: of different models, or of different requests.
    """
    first = given[0]
    for other in given[1:]:
        mine, theirs = first.tuned.model, other.tuned.model
        if mine.sha256 != theirs.sha256:
            raise UsageError(
                f"{first.name} and {other.name} are of different models ({printable(mine.name)}, "
                f"{mine.sha256[:12]}, and {printable(theirs.name)}, {theirs.sha256[:12]}): "
                "plan for one at a time"
            )
        if mine.request_shapes != theirs.request_shapes:
            raise UsageError(
                f"{first.name} and {other.name} were tuned with different requests "
                f"({_shapes(mine.request_shapes)}, and {_shapes(theirs.request_shapes)})"
            )


def _shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{printable(name)} {format_shape(one)}" for name, one in shapes.items())


def _listed(names: Iterable[str]) -> str:
    known = [printable(name) for name in names]
    more = len(known) - MOST_NAMED
    return ", ".join([*known[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])
