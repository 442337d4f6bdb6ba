"""From two tuned files to one comparison."""

import math
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from msgspec.structs import replace

from autotune.comparison.loads import (
    LOG_DRIFT,
    LoadPair,
    answer_of,
    as_difference,
    compare_answers,
    compare_defaults,
    moved_by,
    pair_loads,
    quantities_of,
    settle,
    sides_of,
)
from autotune.comparison.premises import check_comparable, premises, same_machine, same_system
from autotune.comparison.records import Comparison, Difference, LoadCompared, Side
from autotune.comparison.sentence import notes_on, summarize_comparison
from autotune.config_file import TunedFile
from autotune.stages.gate import compare_execution
from autotune.stages.reference import CostWindow
from autotune.stages.sentence import meeting_from_below
from autotune.stats.independent import Estimate


class _Found(NamedTuple):
    """All differences, settled: one of executions at most, and one list a load of the others."""

    execution: list[Difference]
    answers: list[list[Difference]]
    defaults: list[list[Difference]]
    moved: bool | None
    """Whether controls showed that the machine changed; None: there is none."""


def compare_files(a: TunedFile, b: TunedFile) -> Comparison:
    """Compare two searches: before and after, two versions of a model, two machines.

    Where model, machine and runtime are the same, the runtime's default was measured in both and
    cannot have changed, so what it did is the machine's part, and answers are compared over it.
    Where they are not, nothing tells that part, and differences up to `loads.DRIFT` are noise.

    Raises:
        UsageError: arrivals or requests are not the same, so that no number can be compared.
    """
    check_comparable(a, b)
    pairs = pair_loads(a, b)
    found = _compare(a, b, pairs)
    loads = [
        LoadCompared(
            load_rps=pair.load_rps,
            a=answer_of(a, pair, pair.a),
            b=answer_of(b, pair, pair.b),
            differences=answers,
            default=defaults,
        )
        for pair, answers, defaults in zip(pairs, found.answers, found.defaults, strict=True)
    ]
    comparison = Comparison(
        summary="",
        a=_side(a),
        b=_side(b),
        same_system=same_system(a, b),
        machine_moved=found.moved,
        premises=premises(a, b),
        execution=next(iter(found.execution), None),
        loads=loads,
        notes=notes_on(a, b, loads, found.moved),
    )
    return replace(comparison, summary=summarize_comparison(comparison))


def _compare(a: TunedFile, b: TunedFile, pairs: Sequence[LoadPair]) -> _Found:
    """Compare the default first: where it is a control, answers are weighed by what it shows."""
    same, quantities = same_system(a, b), quantities_of(a.slo, b.slo)
    sides = [sides_of(a, b, pair) for pair in pairs]
    execution = _execution(a, b)
    margin = 0.0 if same else LOG_DRIFT
    # Where both answer with the default, and it is no control, it is compared as the answer.
    wanted = [one if one and (same or not one.both_default) else None for one in sides]
    defaults = [compare_defaults(one, quantities, margin) if one else [] for one in wanted]
    own, *defaults = settle([execution if same else [], *defaults])
    controls = [one for one in chain(own, *defaults) if same and one.verdict != "unknown"]
    moved = moved_by(controls)
    answers = [compare_answers(one, quantities, same, moved) if one else [] for one in sides]
    others, *answers = settle([[] if same else execution, *answers])
    return _Found(own or others, answers, defaults, moved > 0 if controls else None)


def _execution(a: TunedFile, b: TunedFile) -> list[Difference]:
    """The CPU time of one execution: heavier beyond what the machine itself became slower."""
    if a.reference is None or b.reference is None:
        return []
    there = b.reference
    windows = zip(there.windows_cpu_ms, there.yardstick_cpu_ms, strict=False)
    change = compare_execution(a.reference, [CostWindow(*window) for window in windows])
    ends = (math.log(end) for end in (change.ratio, change.low, change.high))
    two_models = same_machine(a, b) and not same_system(a, b)
    margin = abs(math.log(change.machine_ratio)) if two_models else 0.0
    values = change.file_ms, change.now_ms
    return [as_difference("execution_cpu_ms", values, "direct", Estimate(*ends), margin)]


def _side(tuned: TunedFile) -> Side:
    meeting = meeting_from_below(tuned.policy)
    return Side(
        model=tuned.model.name,
        cpu=tuned.machine.cpu,
        cores_usable=tuned.machine.cores_usable,
        runtime=tuned.runtime,
        slo=str(tuned.slo),
        started_at=tuned.search.started_at,
        meets_slo_up_to_rps=meeting[-1].load_rps if meeting else None,
    )
