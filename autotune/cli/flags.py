"""Options that several commands share, from text to records."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from autotune.errors import UsageError
from autotune.units import parse_duration_s, parse_load_rps, parse_loads_rps, parse_shapes

if TYPE_CHECKING:
    from autotune.arrivals import Traffic
    from autotune.patterns import Pattern
    from autotune.spec import ExecutionMode, ModelSpec, Objective, ServingConfig, Slo

MAX_SLO_S = 3600.0
KNOBS = (
    "replicas",
    "intra-op-threads",
    "inter-op-threads",
    "execution-mode",
    "spinning",
    "max-batch-size",
    "batch-timeout",
)


def parse_slo(slo: str, percentile: float) -> "Slo":
    """Return the objective that `--slo` and `--percentile` state.

    Raises:
        UsageError: no duration, more than an hour, or no percentile.
    """
    from autotune.spec import Slo

    slo_s = parse_duration_s(slo, "--slo")
    if slo_s > MAX_SLO_S:
        raise UsageError(f"--slo {slo!r} is more than an hour: autotune is for online serving")
    objective = Slo(latency_ms=slo_s * 1e3, percentile=percentile)
    if not 0 < objective.quantile < 1:
        raise UsageError(f"--percentile {percentile:.17g} must lie between 0 and 100, like 99")
    return objective


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


def parse_config(given: dict[str, str], where: str = "") -> "ServingConfig":
    """Return the configuration of which some knobs are named; the others are the runtime's default.

    Args:
        given: values by knob, named as the options of `autotune measure` without their dashes.
        where: the option in which they stand, for complaints.

    Raises:
        UsageError: an unknown knob, a value out of range, or knobs that contradict each other.
    """
    from autotune.spec import ServingConfig

    def name(knob: str) -> str:
        return f"{where} {knob}" if where else f"--{knob}"

    for knob in given:
        if knob not in KNOBS:
            raise UsageError(f"{where}: there is no knob {knob!r}: name some of {', '.join(KNOBS)}")
    config = ServingConfig(
        replicas=_whole(given.get("replicas", "1"), name("replicas"), 1),
        intra_op_threads=_whole(given.get("intra-op-threads", "0"), name("intra-op-threads"), 0),
        inter_op_threads=_whole(given.get("inter-op-threads", "1"), name("inter-op-threads"), 1),
        execution_mode=_mode(given.get("execution-mode", "sequential"), name("execution-mode")),
        spinning=_yes(given.get("spinning", "yes"), name("spinning")),
        max_batch_size=_whole(given.get("max-batch-size", "1"), name("max-batch-size"), 1),
        batch_timeout_ms=_timeout_ms(given.get("batch-timeout", "0"), name("batch-timeout")),
    )
    if config.execution_mode == "sequential" and config.inter_op_threads > 1:
        raise UsageError(
            f"{name('inter-op-threads')} {config.inter_op_threads} has no effect in sequential "
            f"execution: add {name('execution-mode')} parallel"
        )
    if config.execution_mode == "parallel" and config.inter_op_threads == 1:
        raise UsageError(
            f"{name('execution-mode')} parallel needs {name('inter-op-threads')} of 2 or more"
        )
    if config.batch_timeout_ms and config.max_batch_size == 1:
        raise UsageError(
            f"{name('batch-timeout')} {config.batch_timeout_ms:g}ms has no effect without "
            f"batches: add {name('max-batch-size')} of 2 or more"
        )
    return config


def parse_other(text: str) -> "ServingConfig":
    """Return the configuration of `--compare`: `default`, or knobs like `replicas=2,spinning=no`.

    Raises:
        UsageError: it cannot be read.
    """
    if text.strip() == "default":
        return parse_config({})
    knobs: dict[str, str] = {}
    for part in text.split(","):
        knob, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise UsageError(
                f"--compare {text!r}: write default, or knobs like replicas=1,intra-op-threads=2"
            )
        if knob in knobs:
            raise UsageError(f"--compare {text!r}: {knob} is given twice")
        knobs[knob] = value
    return parse_config(knobs, "--compare")


def _whole(text: str, where: str, least: int) -> int:
    from autotune.spec import MOST

    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{where} {text!r} is not a whole number") from None
    if not least <= number <= MOST:
        raise UsageError(f"{where} {number} must lie between {least} and {MOST}")
    return number


def _mode(text: str, where: str) -> "ExecutionMode":
    match text:
        case "sequential" | "parallel":
            return text
    raise UsageError(f"{where} {text!r} is neither sequential nor parallel")


def _yes(text: str, where: str) -> bool:
    if text not in ("yes", "no"):
        raise UsageError(f"{where} {text!r} is neither yes nor no")
    return text == "yes"


def _timeout_ms(text: str, where: str) -> float:
    if text in ("0", "0ms", "0s"):
        return 0.0
    timeout_s = parse_duration_s(text, where)
    if timeout_s > MAX_SLO_S:
        raise UsageError(f"{where} {text!r} is more than an hour")
    return timeout_s * 1e3


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


def parse_objective(text: str) -> "Objective":
    """Return what to search for.

    Raises:
        UsageError: there is no such objective.
    """
    from autotune import spec

    objectives: tuple[Objective, ...] = get_args(spec.Objective)
    for objective in objectives:
        if text == objective:
            return objective
    raise UsageError(f"--objective {text}: is none of {', '.join(objectives)}")
