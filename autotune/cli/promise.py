"""What a tuned file says of model, requests and arrivals, where no option says otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING

from autotune.cli.flags import parse_model, parse_traffics
from autotune.given import make_model
from autotune.units import parse_load_rps

if TYPE_CHECKING:
    from autotune.config_file import PolicyEntry, TunedFile
    from autotune.patterns import Pattern
    from autotune.spec import ModelSpec


def model_for(
    tuned: "TunedFile",
    model: str,
    shape: list[str] | None,
    input: Path | None,
    requests: Path | None,
    seed: int,
) -> "ModelSpec":
    """Return the model with requests as the options say, else of the shapes in the file.

    Raises:
        ModelError: there is no such model.
        UsageError: an option contradicts another or cannot be read.
    """
    from autotune.promise import loading_of, request_shapes

    loading = loading_of(tuned, trust_pickle=False)
    if not shape and input is None and requests is None:
        return make_model(model, request_shapes(tuned), None, None, seed, loading)
    return parse_model(model, shape, input, requests, seed, loading)


def pattern_for(
    tuned: "TunedFile", load_rps: float, arrivals: str | None, trace: Path | None
) -> "Pattern":
    """Return how requests arrive as the options say, else as the file does.

    Raises:
        UsageError: an option cannot be read, or the file was tuned for a trace, which it lacks.
    """
    if arrivals is not None or trace is not None:
        traffics, pattern = parse_traffics(f"{load_rps!r}", None, trace, arrivals)
        return traffics[0].pattern if traffics else pattern
    from autotune.promise import arrivals_of

    return arrivals_of(tuned)


def entry_for(tuned: "TunedFile", load: str, file: Path) -> "PolicyEntry":
    """Return the policy's entry for the load of `--load`.

    Raises:
        UsageError: it is no load, or above all that were tuned for.
    """
    from autotune.promise import entry_at

    return entry_at(tuned, parse_load_rps(load, "--load"), str(file), f"--load {load}")
