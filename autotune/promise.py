"""What a tuned file promises, and what it says of requests and arrivals where nobody says more."""

from pathlib import Path

from autotune.config_file import PolicyEntry, TunedFile
from autotune.errors import UsageError
from autotune.given import Loading
from autotune.patterns import Pattern, parse_description
from autotune.records import OWN_EXAMPLE, InputInfo
from autotune.runtime_environment import is_torch
from autotune.stale import stale_because
from autotune.target_info import ANY_SERVER, TargetInfo

_NUMPY = {"float": "float32", "double": "float64"}
"""Of the types that ONNX calls otherwise."""


def request_shapes(tuned: TunedFile) -> dict[str, list[int]]:
    """Return the shapes of the request that was measured; of a scalar there is none to give.

    Nor is there of a model's own example, which comes with the model again.
    """
    if tuned.model.request_source == OWN_EXAMPLE:
        return {}
    return {name: sizes for name, sizes in tuned.model.request_shapes.items() if sizes}


def loading_of(tuned: TunedFile, trust_pickle: bool) -> Loading:
    """Return how the model was loaded; whether its pickles are trusted is asked anew each time."""
    model = tuned.model
    dtypes = {}
    if is_torch(tuned.runtime):
        dtypes = {info.name: _dtype_of(info) for info in model.inputs}
    return Loading(dtypes, trust_pickle, model.channels_last)


def _dtype_of(info: InputInfo) -> str:
    onnx = info.dtype.removeprefix("tensor(").removesuffix(")")
    return _NUMPY.get(onnx, onnx)


def arrivals_of(tuned: TunedFile) -> Pattern:
    """Return how requests arrived.

    Raises:
        UsageError: by a trace, which the file lacks.
    """
    found = parse_description(tuned.arrivals)
    if found is None:
        raise UsageError(f"the file was tuned for a {tuned.arrivals}: give it with --trace")
    return found


def entry_at(tuned: TunedFile, load_rps: float, file: str, where: str) -> PolicyEntry:
    """Return the policy's entry for a load.

    Args:
        tuned: the file.
        load_rps: requests/s.
        file: what to call it in a complaint.
        where: the load as the person wrote it, likewise.

    Raises:
        UsageError: the load is above all that were tuned for.
    """
    entry = tuned.entry_for(load_rps)
    if entry is None:
        raise UsageError(
            f"{where}: {file} was tuned for up to {tuned.policy[-1].load_rps:g} requests/s: "
            "search again for that load"
        )
    return entry


def entry_to_check(tuned: TunedFile) -> PolicyEntry:
    """Return the promise that `check` holds the model to where no load is named.

    Among the recommended configuration's loads that meet the SLO: the highest where that is
    proven, else the one furthest below the SLO. A promise that was no more than just kept would
    be called broken by chance.
    """
    mine = [one for one in tuned.policy if one.config == tuned.recommended] or tuned.policy
    meeting = [one for one in mine if one.meets_slo and one.measured is not None] or mine
    proven = [one for one in meeting if one.measured and one.measured.slo_verdict == "met"]
    return proven[-1] if proven else min(meeting, key=_latency_ms)


def _latency_ms(entry: PolicyEntry) -> float:
    value = entry.measured.objective.value_ms if entry.measured is not None else None
    return entry.predicted_ms if value is None else value


def demand_engine(tuned: TunedFile, file: str) -> None:
    """Refuse a promise that a server gave: the engine by itself says nothing of it.

    Raises:
        UsageError: the file was measured through a server.
    """
    target = tuned.target
    if target is not None:
        at = "" if target.url is None else f" --url {target.url}"
        raise UsageError(
            f"{file}: was measured through {target.describe()}, and check measures the engine by "
            f"itself: drive the server with `autotune verify {file} --server {_named(target)}{at}`"
        )


def _named(target: TargetInfo) -> str:
    return "NAME" if target.server == ANY_SERVER else target.server


def uncheckable_because(tuned: TunedFile, file: str, model: Path) -> list[str]:
    """Return what keeps the file from speaking of this model here, a clause each."""
    reasons = stale_because(tuned, model)
    if tuned.reference is None:
        reasons.append(f"{file}: does not say what an execution cost (an older version wrote it)")
    return reasons
