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
    7   what others can learn from the search, what it learnt from others, and which strategy it was
    8   what `autotune plan` reckons with: how long executions take, what the machine draws, what
        can be traded between latency, energy and cores
    9   the server through which was measured, and how far the engine's answer was from it

Older versions are read (`autotune/upgrade.py`): what they did not record is null.
"""

import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from autotune.bounded_file import read_bytes
from autotune.contradictions import at_odds
from autotune.errors import ConfigFileError, UsageError, did_you_mean_file
from autotune.file_head import format_of, head_of, held
from autotune.lesson import Lesson
from autotune.probes.machine import Machine
from autotune.records import (
    Curve,
    Failed,
    Finalist,
    Gain,
    InputInfo,
    LatticeMap,
    Summary,
)
from autotune.search_info import SearchInfo
from autotune.service import Power, ServiceModel, TradeOff
from autotune.spec import PositiveMs, PositiveRps, Record, ServingConfig, Slo
from autotune.tabular import printable
from autotune.target_info import TargetInfo
from autotune.upgrade import upgrade
from autotune.whole_file import write_whole

SCHEMA_VERSION = 9
SCHEMA_PATH = Path(__file__).parent / "schema" / "autotune-v9.schema.json"
MOST_BYTES = 64_000_000
"""Of a tuned file: some ten thousand trials, ten times as many as a search of a day makes."""

Status = Literal["complete", "slo_not_met", "interrupted"]
Phase = Literal["search", "confirm"]
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
    schema_version: Literal[9]
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
    lesson: Lesson | None
    """What other searches learn from this one; None: nothing, as before version 7."""
    service: ServiceModel | None
    """None: not known, as before version 8; likewise:"""
    power: Power | None
    trade_offs: list[TradeOff]
    """By load, then latency; empty before version 8."""
    target: TargetInfo | None
    """The server through which everything was measured; None: the engine itself, as before
    version 9."""

    def entry_for(self, load_rps: float) -> PolicyEntry | None:
        """Return the lowest entry that reaches the load; None: it is above all."""
        return next((one for one in self.policy if load_rps <= one.load_rps), None)


class UnwrittenError(UsageError):
    """A tuned file could not be written. `tuned` is what it was to hold."""

    def __init__(self, message: str, tuned: TunedFile) -> None:
        """Say why."""
        super().__init__(message)
        self.tuned = tuned


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the current version."""
    schema = msgspec.json.schema(TunedFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


_LONGEST_SHOWN = 40
_FLAT_LIST = re.compile(r"\[\n\s+([^\[\]{}]*?)\n\s+\]")
"""A list of plain values over several lines; a line never ends within a JSON string."""
_NEXT_LINE = re.compile(r"\n\s+")


def to_json(tuned: Record) -> str:
    """Return the file's text: indented, lists of plain values each on one line."""
    text = msgspec.json.format(msgspec.json.encode(tuned), indent=2).decode()
    return _FLAT_LIST.sub(lambda found: f"[{_NEXT_LINE.sub(' ', found[1])}]", text) + "\n"


def read(path: Path) -> TunedFile:
    """Read a tuned file, or `FILE#NAME`: one of those that a file for several holds.

    Raises:
        ConfigFileError: unreadable, no regular file, too large, no tuned file, of another version,
            or with a field that is missing, unknown, of the wrong type or at odds with another;
            the field is named.
    """
    try:
        data = read_bytes(path, MOST_BYTES)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        if missing and "#" in path.name:
            return parse(held(path), path)
        hint = did_you_mean_file(path, (".json",)) if missing else ""
        raise ConfigFileError(f"{path}: cannot be read: {error.strerror}{hint}") from None
    return parse(data, path)


def parse(data: bytes, path: Path) -> TunedFile:
    """Return what the text of a tuned file says, that was read at `path`.

    Raises:
        ConfigFileError: as `read`.
    """
    version = _version(path, data)
    try:
        tuned = _decode(data, version)
        msgspec.msgpack.encode(tuned)  # what was read can be written again
    except msgspec.ValidationError as error:
        raise ConfigFileError(f"{path}: {printable(str(error))}") from None
    except OverflowError:
        raise ConfigFileError(f"{path}: holds a whole number of more than 64 bits") from None
    except KeyError as error:
        raise ConfigFileError(
            f"{path}: is not a file of version {version}: it lacks {error.args[0]!r}"
        ) from None
    except (TypeError, AttributeError, ValueError, RecursionError):
        raise ConfigFileError(
            f"{path}: is not a file of version {version}: a part of it is something else"
        ) from None
    if problem := at_odds(tuned):
        raise ConfigFileError(f"{path}: {problem}")
    return tuned


def _version(path: Path, data: bytes) -> int:
    head = head_of(data, path)
    if head.format != "autotune" and head.named:
        named = f"{path}#{next(iter(head.named))}"
        raise ConfigFileError(f"{path}: holds several tuned files: name one, like {named}")
    if head.format != "autotune":
        raise ConfigFileError(f"{path}: is not a tuned file; `autotune search` writes one")
    version = head.schema_version
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:  # True is an int, too
        raise ConfigFileError(
            f"{path}: has schema version {_shown(version)}; this autotune reads 1 to "
            f"{SCHEMA_VERSION}: upgrade autotune, or search again"
        )
    return version


def _shown(value: Any) -> str:
    """Return a value of a file as it may be shown: nothing long, and no number without end."""
    small = isinstance(value, float | None) or (isinstance(value, int) and abs(value) < 2**63)
    if small or (isinstance(value, str) and len(value) <= _LONGEST_SHOWN):
        return repr(value)
    return "that is no number"


def _decode(data: bytes, version: int) -> TunedFile:
    if version == SCHEMA_VERSION:
        return msgspec.json.decode(data, type=TunedFile)
    return msgspec.convert(upgrade(msgspec.json.decode(data), version), type=TunedFile)


def write(path: Path, tuned: TunedFile) -> None:
    """Write the file whole or not at all.

    Raises:
        UnwrittenError: the place cannot be written.
    """
    try:
        write_other(path, tuned)
    except UsageError as error:
        raise UnwrittenError(str(error), tuned) from None


def write_other(path: Path, record: Record) -> None:
    """Write a file of whatever format, whole or not at all.

    Raises:
        UsageError: the place cannot be written.
    """
    try:
        write_whole(path, to_json(record).encode())
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror}") from None


def check_writable(path: Path) -> None:
    """Find out before measuring whether `write` can succeed, without touching an existing file.

    Raises:
        UsageError: a folder is missing or refuses, or the path holds something else than a tuned
            file, which would be lost.
    """
    check_place(path, "autotune", "tuned file")


def check_place(path: Path, kind: str, what: str) -> None:
    """Find out likewise for files of another kind.

    Args:
        path: where to write.
        kind: the format of files that may be replaced.
        what: how such a file is called.

    Raises:
        UsageError: as `check_writable`.
    """
    if path.is_dir():
        raise UsageError(f"-o {path}: is a directory; name a file in it")
    if path.exists() and format_of(path) != kind:
        raise UsageError(
            f"-o {path}: exists and is not a {what}; it is left alone: choose another name"
        )
    if not path.parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {path.parent}; make it first")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror}") from None
