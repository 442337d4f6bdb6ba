"""Options that several commands share, from text to records."""

from pathlib import Path
from typing import TYPE_CHECKING

from autotune.errors import UsageError
from autotune.units import parse_duration_s, parse_load_rps, parse_loads_rps, parse_shapes

if TYPE_CHECKING:
    from autotune.arrivals import Traffic
    from autotune.patterns import Pattern
    from autotune.spec import ModelSpec, Slo

MAX_SLO_S = 3600.0


def parse_slo(slo: str, percentile: float) -> "Slo":
    """Return the objective that `--slo` and `--percentile` state.

    Raises:
        UsageError: no duration, more than an hour, or no percentile.
    """
    from autotune.spec import Slo

    if not 0 < percentile < 100:
        raise UsageError(f"--percentile {percentile:g} must lie between 0 and 100, like 99")
    slo_s = parse_duration_s(slo, "--slo")
    if slo_s > MAX_SLO_S:
        raise UsageError(f"--slo {slo!r} is more than an hour: autotune is for online serving")
    return Slo(latency_ms=slo_s * 1e3, percentile=percentile)


def parse_traffics(
    load: str | None, loads: str | None, trace: Path | None, arrivals: str | None
) -> "tuple[list[Traffic] | None, Pattern]":
    """Return one traffic per load, None where no option names one, and their pattern.

    A trace is replayed as it is, or, where loads are given, scaled to each.

    Raises:
        UsageError: an option contradicts another or cannot be read.
    """
    from autotune.arrivals import Traffic, read_trace
    from autotune.patterns import Poisson, parse_arrivals

    if load is not None and loads is not None:
        raise UsageError("--load and --loads both say how many requests arrive: give one of them")
    if trace is not None and arrivals is not None:
        raise UsageError("--trace and --arrivals both say how requests arrive: give one of them")
    pattern = Poisson() if arrivals is None else parse_arrivals(arrivals, "--arrivals")
    loads_rps: tuple[float, ...] = ()
    if load is not None:
        loads_rps = (parse_load_rps(load, "--load"),)
    elif loads is not None:
        loads_rps = parse_loads_rps(loads, "--loads")
    if trace is not None:
        recorded = read_trace(trace)
        scaled = [recorded.at(load_rps) for load_rps in loads_rps] or [recorded]
        return scaled, scaled[0].pattern
    return [Traffic(load_rps=rps, pattern=pattern) for rps in loads_rps] or None, pattern


def parse_model(
    model: str,
    shape: list[str] | None,
    input: Path | None,
    requests: Path | None,
    seed: int,
) -> "ModelSpec":
    """Return the model with what requests to it look like.

    Raises:
        ModelError: there is no such model.
        UsageError: an option contradicts another or cannot be read, or the seed is negative.
    """
    from autotune.model_file import locate
    from autotune.request_mix import read_requests
    from autotune.spec import ModelSpec

    if seed < 0:
        raise UsageError(f"--seed {seed} must not be negative")
    path = locate(model)
    if requests is not None and (shape or input is not None):
        other = "--shape" if shape else "--input"
        raise UsageError(f"--requests and {other} both say what a request is: give one of them")
    if input is not None and not input.is_file():
        raise UsageError(f"--input {input}: no such file")
    return ModelSpec(
        path=str(path),
        shapes=parse_shapes(shape or [], "--shape"),
        input_file=str(input) if input is not None else None,
        requests=read_requests(requests) if requests is not None else [],
        seed=seed,
    )
