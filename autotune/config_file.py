"""model.autotune.json: the product. Plain data, versioned; reading it executes nothing.

Format history:
    1   first version
    2   what disturbed a window, energy, and the waits for a batch and of the harness apart from
        the queue's; whether a difference in latency is more than noise; `wrong_output`
    3   the objective, the risk allowed and the SLO violations that the search caused; how far the
        prediction was off, in parts; the Pareto front
    4   the CPU time of one execution, which `autotune check` holds a later model against; ranges
        of numbers are part of the schema
    5   what `autotune report` draws: how latencies of the finalists spread, predictions over load
        and of every point, when each trial ended, and how to repeat it
    6   what executes the model: providers, forms of a torch model, replicas as processes, GPUs; who
        executes which share of its nodes, compile time, and copies to and from a GPU

Older versions are read (`autotune/upgrade.py`): what they did not record is null.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from autotune.errors import ConfigFileError, UsageError, did_you_mean_file
from autotune.probes.machine import Machine
from autotune.records import (
    Curve,
    Failed,
    Finalist,
    Gain,
    InputInfo,
    LatticeMap,
    Placement,
    Summary,
)
from autotune.spec import Objective, PositiveMs, PositiveRps, Record, ServingConfig, Slo
from autotune.upgrade import upgrade

SCHEMA_VERSION = 6
SCHEMA_PATH = Path(__file__).parent / "schema" / "autotune-v6.schema.json"

Status = Literal["complete", "slo_not_met", "interrupted"]
Phase = Literal["search", "confirm"]
StopReason = Literal["settled", "budget", "trials", "interrupted"]
Evidence = Literal["confirmed", "measured", "predicted"]


class ModelIdentity(Record, frozen=True):
    """Which model the file is for."""

    name: str
    """As the person named it."""
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    function: str | None
    """`package.module:function` that builds it, whose source is hashed; None: a file."""
    channels_last: bool
    """Whether torch kept images with their channels last."""
    inputs: list[InputInfo]
    request_shapes: dict[str, list[int]]
    """Shape of each input in the request that was measured."""
    request_source: str
    batchable: bool
    batch_reason: str


class Binding(Record, frozen=True):
    """What stands in the way where no configuration meets the SLO."""

    nearest: ServingConfig
    lowest_slo_ms: float | None
    """The SLO that `nearest` would meet at this load; None where it loses too many requests."""
    highest_load_rps: float | None
    """The highest load at which the SLO is met; None where none is known."""
    highest_load_evidence: Literal["measured", "predicted"] | None


class PolicyEntry(Record, frozen=True):
    """Up to `load_rps` requests/s, run this."""

    load_rps: PositiveRps
    config: ServingConfig
    evidence: Evidence
    """`confirmed`: interleaved against the default; `measured`: once; `predicted`: not at all."""
    meets_slo: bool
    predicted_ms: float
    """Predicted latency at the SLO's percentile."""
    measured: Summary | None
    default: Summary | None
    """The runtime's default, measured in the same rounds."""
    gain: Gain | None
    """Against the default; None where the default itself was chosen or not measured."""
    binding: Binding | None
    """What stands in the way; None where the SLO is met."""


class Trial(Record, frozen=True):
    """One open-loop measurement."""

    phase: Phase
    """`search`, or `confirm` for the interleaved rounds at the end."""
    load_rps: float
    config: ServingConfig
    predicted_ms: float
    seconds: float
    """Wall time it took, loading included."""
    at_s: float | None
    """When it ended, since the search began; None in files before version 5."""
    measured: Summary | None
    failure: Failed | None


class SearchInfo(Record, frozen=True):
    """How the search went."""

    started_at: str
    seconds: float
    profile_seconds: float
    budget_s: float
    seed: int
    stopped: StopReason
    points: int
    """Configurations in the space."""
    left_out: list[str]
    """Configurations that could not be tried, each with the reason."""
    sustainable_rps: float
    """Highest load predicted to meet the SLO."""
    objective: Objective
    max_risk: float | None
    """Only what was predicted to miss the SLO with less than this chance was tried; None: any."""
    violations: int
    """Measurements, confirmation included, in which the SLO was missed."""
    prediction: "PredictionError | None"
    """None: nothing was measured."""
    compiled_s: float
    """Seconds spent on compiling the model; in no latency."""
    placements: list[Placement]
    """Of each execution provider that was tried."""


class PredictionError(Record, frozen=True):
    """How far off the prediction was: median factors over the first measurements of each pair."""

    objective: float
    """Of latency at the SLO's percentile, as predicted just before each measurement."""
    p50: float | None
    """Of the median; None in older files."""
    profile_only: float | None
    """As `objective`, of what was predicted before anything was measured; None in older files."""
    predicted_capacity_rps: float
    capacity_met_rps: float | None
    """The highest load up to which the SLO was met; None: it was met at none."""
    capacity_missed_rps: float | None
    """The lowest load at which it was missed; None: it was missed at none."""


class Reference(Record, frozen=True):
    """What one execution of one request costs on one thread: tells a heavier model from noise."""

    execution_cpu_ms: float
    """CPU time, for others' use of the machine hardly changes it; of the windows' fast fifth."""
    windows_cpu_ms: Annotated[list[PositiveMs], msgspec.Meta(min_length=1)]
    """Mean CPU time of the executions of each window, some before the search and some after."""
    yardstick_cpu_ms: Annotated[list[PositiveMs], msgspec.Meta(min_length=1)]
    """CPU time of SHA-256 over a megabyte beside each window: how fast the machine was."""


class FrontPoint(Record, frozen=True):
    """A configuration that no other beats in load, cores and CPU time all at once."""

    config: ServingConfig
    cores: int
    """That its threads may use at once."""
    load_rps: float
    """The highest load at which it was measured to meet the SLO."""
    cpu_s_per_request: float
    """There."""
    requests: int
    """That this rests on."""


class TunedFile(Record, frozen=True):
    """The whole file."""

    format: Literal["autotune"]
    schema_version: Literal[6]
    status: Status
    summary: str
    """What to deploy and what it gains, in a sentence or two."""
    recommended: ServingConfig
    """The one to deploy where a server cannot switch by load."""
    policy: Annotated[list[PolicyEntry], msgspec.Meta(min_length=1)]
    """Ascending by load."""
    slo: Slo
    arrivals: str
    """How requests arrived, in words, such as `poisson`, `bursty x4` or `trace`."""
    model: ModelIdentity
    machine: Machine
    runtime: str
    autotune: str
    """Version of autotune that wrote the file."""
    search: SearchInfo
    reference: Reference | None
    """None: not measured, as in files before version 4."""
    front: list[FrontPoint]
    """Ascending by load. Measured, the longer the better: see `requests`."""
    trials: list[Trial]
    finalists: list[Finalist]
    """All that were measured in interleaved rounds, by load; empty before version 5, likewise:"""
    curves: list[Curve]
    """Of the recommended configuration and of the runtime's default."""
    lattice: LatticeMap | None
    repeat: list[str] | None
    """Arguments of `autotune measure` that bring back model, requests, arrivals and SLO; None: they
    cannot be named."""

    def entry_for(self, load_rps: float) -> PolicyEntry | None:
        """Return the lowest entry that reaches the load; None: it is above all."""
        return next((one for one in self.policy if load_rps <= one.load_rps), None)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the current version."""
    schema = msgspec.json.schema(TunedFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


_FLAT_LIST = re.compile(r"\[\n\s+([^\[\]{}]*?)\n\s+\]")
"""A list of plain values over several lines; a line never ends within a JSON string."""
_NEXT_LINE = re.compile(r"\n\s+")


def to_json(tuned: TunedFile) -> str:
    """Return the file's text: indented, lists of plain values each on one line."""
    text = msgspec.json.format(msgspec.json.encode(tuned), indent=2).decode()
    return _FLAT_LIST.sub(lambda found: f"[{_NEXT_LINE.sub(' ', found[1])}]", text) + "\n"


def read(path: Path) -> TunedFile:
    """Read a tuned file.

    Raises:
        ConfigFileError: unreadable, no tuned file, of another version, or with a field that is
            missing, unknown or of the wrong type; the field is named.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = did_you_mean_file(path, (".json",)) if isinstance(error, FileNotFoundError) else ""
        raise ConfigFileError(f"{path}: cannot be read: {error.strerror}{hint}") from None
    try:
        head = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigFileError(f"{path}: is not JSON: {error}") from None
    if not isinstance(head, dict) or head.get("format") != "autotune":
        raise ConfigFileError(f"{path}: is not a tuned file; `autotune search` writes one")
    version = head.get("schema_version")
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:  # True is an int, too
        raise ConfigFileError(
            f"{path}: has schema version {version!r}; this autotune reads 1 to {SCHEMA_VERSION}: "
            "upgrade autotune, or search again"
        )
    try:
        tuned = msgspec.convert(upgrade(head, version), type=TunedFile)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigFileError(f"{path}: is not a file of version {version}: {error!r}") from None
    except msgspec.ValidationError as error:
        raise ConfigFileError(f"{path}: {error}") from None
    loads_rps = [entry.load_rps for entry in tuned.policy]
    if sorted(set(loads_rps)) != loads_rps:
        raise ConfigFileError(f"{path}: the loads of the policy are not ascending: {loads_rps}")
    return tuned


def write(path: Path, tuned: TunedFile) -> None:
    """Write the file whole or not at all.

    Raises:
        UsageError: the place cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(to_json(tuned))
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror}") from None


def check_writable(path: Path) -> None:
    """Find out before measuring whether `write` can succeed, without touching an existing file.

    Raises:
        UsageError: a folder is missing or refuses, or the path holds something else than a tuned
            file, which would be lost.
    """
    if path.is_dir():
        raise UsageError(f"-o {path}: is a directory; name a file in it")
    if path.exists() and not _is_tuned_file(path):
        raise UsageError(
            f"-o {path}: exists and is not a tuned file; it is left alone: choose another name"
        )
    if not path.parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {path.parent}; make it first")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror}") from None


def _is_tuned_file(path: Path) -> bool:
    """Whether some version of autotune wrote it."""
    try:
        head = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, RecursionError):
        return False
    return isinstance(head, dict) and head.get("format") == "autotune"
