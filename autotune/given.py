"""What a person gave, checked and made into records: one way for the command line and for Python.

`where` names one thing that was given, with its value, as the person wrote it: `--slo '0ms'`,
`slo_ms=0`. What concerns two things at once is said in options of the command line;
`autotune.api` puts that into Python.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, get_args

import msgspec

from autotune.errors import UsageError, did_you_mean
from autotune.units import DAY_S

LARGEST = 2**63 - 1
"""Of whole numbers that can be written into a file and sent to another process."""

if TYPE_CHECKING:
    from autotune.arrivals import Traffic
    from autotune.patterns import Pattern
    from autotune.spec import Allowed, ModelSpec, Objective, ServingConfig, Slo


def make_slo(latency_ms: float, percentile: float, where: str, where_percentile: str) -> "Slo":
    """Return the objective.

    Raises:
        UsageError: more than an hour, or no percentile.
    """
    from autotune.spec import LONGEST_MS, Slo

    if latency_ms > LONGEST_MS:
        raise UsageError(f"{where} is more than an hour: autotune is for online serving")
    slo = Slo(latency_ms=latency_ms, percentile=percentile)
    if not 0 < slo.quantile < 1:
        raise UsageError(f"{where_percentile} must lie between 0 and 100, like 99")
    return slo


def make_traffics(
    loads_rps: Sequence[float], trace: "Path | Traffic | None", arrivals: "Pattern | None"
) -> "tuple[list[Traffic] | None, Pattern]":
    """Return one traffic per load, None where there is no load, and their pattern.

    A trace is replayed as it is, or, where loads are given, scaled to each.

    Raises:
        UsageError: a trace and a pattern at once, or a trace that cannot be read.
    """
    from autotune.arrivals import Traffic, read_trace
    from autotune.patterns import Poisson

    if trace is not None:
        if arrivals is not None:
            raise UsageError(
                "--trace and --arrivals both say how requests arrive: give one of them"
            )
        if isinstance(trace, Path):
            _demand_text(trace, "--trace")
        recorded = read_trace(trace) if isinstance(trace, Path) else trace
        scaled = [recorded.at(load_rps) for load_rps in loads_rps] or [recorded]
        return scaled, scaled[0].pattern
    pattern = Poisson() if arrivals is None else arrivals
    return [Traffic(load_rps=rps, pattern=pattern) for rps in loads_rps] or None, pattern


class Loading(NamedTuple):
    """How a torch model is loaded; an ONNX file says all of this itself."""

    dtypes: Mapping[str, str] = MappingProxyType({})
    """Input name -> numpy's name of its type."""
    trust_pickle: bool = False
    channels_last: bool = True


AS_USUAL = Loading()


def make_model(
    name: str,
    shapes: dict[str, list[int]],
    input: Path | None,
    requests: Path | None,
    seed: int,
    loading: Loading = AS_USUAL,
) -> "ModelSpec":
    """Return the model with what requests to it look like.

    Raises:
        ModelError: there is no such model.
        UsageError: requests are described twice or cannot be read, or the seed is negative.
    """
    from autotune.model_file import locate, locate_function
    from autotune.request_mix import read_requests
    from autotune.spec import ModelSpec

    if seed < 0:
        raise UsageError(f"--seed {seed} must not be negative")
    if seed > LARGEST:
        raise UsageError(f"--seed {seed} must be at most {LARGEST}")
    source, function = locate_function(name) or (locate(name), None)
    if requests is not None and (shapes or input is not None):
        other = "--shape" if shapes else "--input"
        raise UsageError(f"--requests and {other} both say what a request is: give one of them")
    for option, path in (("--input", input), ("--requests", requests)):
        if path is not None:
            _demand_text(path, option)
    if input is not None and not os.path.isfile(input):
        raise UsageError(f"--input {input}: no such file")
    return ModelSpec(
        path=str(source),
        shapes=shapes,
        dtypes=dict(loading.dtypes),
        input_file=str(input) if input is not None else None,
        requests=read_requests(requests) if requests is not None else [],
        requests_file=str(requests) if requests is not None else None,
        seed=seed,
        function=function,
        trust_pickle=loading.trust_pickle,
        channels_last=loading.channels_last,
    )


def _demand_text(path: Path, option: str) -> None:
    """Refuse a name that could not be written into a tuned file.

    Raises:
        UsageError: it is no text.
    """
    if not str(path).isascii() and str(path) != str(path).encode(errors="replace").decode():
        raise UsageError(
            f"{option} {path}: is not text in this locale's encoding: rename it, or set LANG"
        )


def make_allowed(
    device: str, providers: Sequence[str] | None, forms: Sequence[str], name: Callable[[str], str]
) -> "Allowed":
    """Return what may be tried.

    Args:
        device: `cpu`, `cuda`, or GPUs such as `cuda:0,cuda:1`.
        providers: execution providers of ONNX Runtime; None: all that are installed.
        forms: of a torch model, beside `as_given`.
        name: how the person calls what was given, for complaints.

    Raises:
        UsageError: there is no such device, provider or form.
    """
    from autotune.spec import DEVICES, Allowed, Form, Provider

    kind, gpus = device, []
    if found := re.fullmatch(r"cuda:[0-9]{1,4}(,cuda:[0-9]{1,4})*", device.replace(" ", "")):
        kind, gpus = "cuda", [int(one) for one in re.findall(r"[0-9]+", found[0])]
    if kind not in DEVICES or len(set(gpus)) < len(gpus):
        raise UsageError(
            f"{name('device')} {device}: write cpu, cuda, or different GPUs like cuda:0,cuda:1"
            f"{did_you_mean(device, DEVICES)}"
        )
    known: dict[str, Sequence[str]] = {
        "providers": get_args(Provider),
        "forms": [form for form in get_args(Form) if form != "as_given"],
    }
    for option, given in (("providers", providers or ()), ("forms", forms)):
        for one in given:
            if one not in known[option]:
                hint = did_you_mean(one, known[option])
                choices = ", ".join(known[option])
                raise UsageError(f"{name(option)} {one}: is none of {choices}{hint}")
    return msgspec.convert(
        {"device": kind, "gpus": gpus, "forms": list(forms), "providers": providers}, Allowed
    )


def make_objective(text: str) -> "Objective":
    """Return what to search for.

    Raises:
        UsageError: there is no such objective.
    """
    from autotune import spec

    objectives: tuple[Objective, ...] = get_args(spec.Objective)
    for objective in objectives:
        if text == objective:
            return objective
    hint = did_you_mean(text, objectives)
    raise UsageError(f"--objective {text}: is none of {', '.join(objectives)}{hint}")


def check_config(
    config: "ServingConfig", name: Callable[[str], str] = lambda knob: f"--{knob}"
) -> "ServingConfig":
    """Return the configuration if its knobs do not contradict each other.

    Args:
        config: each knob within its range.
        name: how the person calls a knob, for complaints.

    Raises:
        UsageError: they do.
    """
    if config.execution_mode == "sequential" and config.inter_op_threads > 1:
        raise UsageError(
            f"{name('inter-op-threads')} {config.inter_op_threads} has no effect in sequential "
            f"execution: add {name('execution-mode')} parallel"
        )
    if config.execution_mode == "parallel" and config.inter_op_threads == 1:
        raise UsageError(
            f"{name('execution-mode')} parallel needs {name('inter-op-threads')} of 2 or more"
        )
    if config.on_gpu:
        if config.replicas < config.devices:
            raise UsageError(
                f"{name('devices')} {config.devices}: each needs a replica: add "
                f"{name('replicas')} {config.devices} or more"
            )
    elif config.devices > 1 or config.overlap or config.cuda_graphs:
        which = "devices" if config.devices > 1 else "overlap" if config.overlap else "cuda-graphs"
        raise UsageError(f"{name(which)} has no effect on a CPU: add {name('provider')} cuda")
    if config.batch_timeout_ms and config.max_batch_size == 1:
        raise UsageError(
            f"{name('batch-timeout')} {config.batch_timeout_ms:g}ms has no effect without "
            f"batches: add {name('max-batch-size')} of 2 or more"
        )
    return config


def check_whole(number: int, where: str, least: int) -> int:
    """Return a count of replicas, threads or requests.

    Raises:
        UsageError: below `least`, or a slip of the pen.
    """
    from autotune.spec import MOST

    if not least <= number <= MOST:
        raise UsageError(f"{where} must lie between {least} and {MOST}")
    return number


def check_day(seconds: float, where: str) -> float:
    """Return a time to measure.

    Raises:
        UsageError: more than a day.
    """
    if seconds > DAY_S:
        raise UsageError(f"{where} is more than a day")
    return seconds


def check_confidence(percent: float, where: str) -> float:
    """Return it as a share.

    Raises:
        UsageError: below 50 %, or certainty.
    """
    if not 50 <= percent < 100:
        raise UsageError(f"{where} must be at least 50 and below 100, like 99")
    return percent / 100


def check_trials(count: int | None) -> int | None:
    """Return the most measurements before the confirmation.

    Raises:
        UsageError: not even one.
    """
    if count is not None and count < 1:
        raise UsageError(f"--trials {count} must be at least 1")
    if count is not None and count > LARGEST:
        raise UsageError(f"--trials {count} must be at most {LARGEST}")
    return count
