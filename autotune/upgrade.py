"""Tuned files of older versions, as the next version has them: dicts in, dicts out."""

from typing import Any

_ON_CPU = {
    "replicas_as": "threads",
    "form": "as_given",
    "provider": "cpu",
    "devices": 1,
    "overlap": False,
    "cuda_graphs": False,
}
"""Knobs that came with version 6, as all files before it have them."""


def upgrade(head: dict[str, Any], version: int) -> dict[str, Any]:
    """Return a file of `version` as the current version has it.

    Raises:
        KeyError, TypeError, AttributeError: a part is missing, or is something else.
    """
    if version < 2:
        head = _from_version_1(head)
    if version < 3:
        head = _from_version_2(head)
    if version < 4:
        head = {**head, "schema_version": 4, "reference": None}
    if version < 5:
        head = _from_version_4(head)
    if version < 6:
        head = _from_version_5(head)
    if version < 7:
        head = _from_version_6(head)
    if version < 8:
        head = {**head, "schema_version": 8, "service": None, "power": None, "trade_offs": []}
    if version < 9:
        head = {**head, "schema_version": 9, "target": None}
    return head


def _from_version_1(value: Any) -> Any:
    """Return a part of a version 1 file as version 2 has it."""
    if isinstance(value, list):
        return [_from_version_1(one) for one in value]
    if not isinstance(value, dict):
        return value
    fields = {name: _from_version_1(one) for name, one in value.items()}
    if "schema_version" in fields:
        fields["schema_version"] = 2
    if "slo_attainment" in fields:  # a summary
        unknown = ("joules_per_request", "issue_lateness_ms", "batch_wait_ms")
        fields |= {"disturbed": [], **dict.fromkeys(unknown)}
    if "latency_ratio" in fields:  # a gain; an interval without 1 was what it called proven
        low, high = fields.get("low"), fields.get("high")
        fields["latency_differs"] = bool((low or 0) > 1 or (high is not None and high < 1))
    return fields


def _from_version_2(head: dict[str, Any]) -> dict[str, Any]:
    """Return a version 2 file as version 3 has it."""
    search = dict(head["search"])
    error = search.pop("prediction_error", None)
    measured = [trial["measured"] for trial in head["trials"] if trial["measured"]]
    search |= {
        "objective": "latency",
        "max_risk": None,
        "violations": sum(not one["meets_slo"] for one in measured),
        "prediction": error
        and {
            "objective": error,
            "p50": None,
            "profile_only": None,
            "predicted_capacity_rps": search.get("sustainable_rps"),
            "capacity_met_rps": None,
            "capacity_missed_rps": None,
        },
    }
    return {**head, "schema_version": 3, "search": search, "front": []}


def _from_version_4(head: dict[str, Any]) -> dict[str, Any]:
    """Return a version 4 file as version 5 has it."""
    drawn: dict[str, Any] = {"finalists": [], "curves": [], "lattice": None, "repeat": None}
    trials = [{**trial, "at_s": None} for trial in head["trials"]]
    return {**head, "schema_version": 5, "trials": trials, **drawn}


def _from_version_5(head: dict[str, Any]) -> dict[str, Any]:
    """Return a version 5 file as version 6 has it: all ran on the CPU, as ONNX Runtime does."""
    lattice = head["lattice"]
    if lattice is not None:
        every = [None] * len(lattice["replicas"])
        lattice = lattice | {name: [value for _ in every] for name, value in _ON_CPU.items()}
    search = head["search"] | {"compiled_s": 0.0, "placements": []}
    model = head["model"] | {"function": None, "channels_last": True}
    changed = {"schema_version": 6, "lattice": lattice, "search": search, "model": model}
    return {**head, **changed, "machine": head["machine"] | {"gpus": []}}


def _from_version_6(head: dict[str, Any]) -> dict[str, Any]:
    """Return a version 6 file as version 7 has it: nothing was learnt from it, or by it."""
    search = head["search"] | {"strategy": "rrl", "learnt": None}
    return {**head, "schema_version": 7, "search": search, "lesson": None}
