"""Options that several commands share, from text to records."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from autotune.errors import UsageError, did_you_mean
from autotune.given import (
    AS_USUAL,
    Loading,
    check_config,
    check_day,
    check_whole,
    make_allowed,
    make_model,
    make_slo,
    make_traffics,
)
from autotune.units import (
    parse_duration_s,
    parse_load_rps,
    parse_loads_rps,
    parse_percentile,
    parse_typed_shapes,
)

if TYPE_CHECKING:
    from autotune.arrivals import Traffic
    from autotune.patterns import Pattern
    from autotune.spec import Allowed, ModelSpec, ServingConfig, Slo

MAX_SLO_S = 3600.0
LEAST_BUDGET_S = 1.0
KNOBS = (
    "replicas",
    "intra-op-threads",
    "inter-op-threads",
    "execution-mode",
    "spinning",
    "max-batch-size",
    "batch-timeout",
    "replicas-as",
    "form",
    "provider",
    "devices",
    "overlap",
    "cuda-graphs",
)


def parse_slo(slo: str, percentile: str) -> "Slo":
    """Return the objective that `--slo` and `--percentile` state.

    Raises:
        UsageError: no duration, more than an hour, or no percentile.
    """
    slo_ms = 1e3 * parse_duration_s(slo, "--slo")
    percent = parse_percentile(percentile, "--percentile")
    return make_slo(slo_ms, percent, f"--slo {slo!r}", f"--percentile {percentile}")


def parse_traffics(
    load: str | None, loads: str | None, trace: Path | None, arrivals: str | None
) -> "tuple[list[Traffic] | None, Pattern]":
    """Return one traffic per load, None where no option names one, and their pattern.

    A trace is replayed as it is, or, where loads are given, scaled to each.

    Raises:
        UsageError: an option contradicts another or cannot be read.
    """
    from autotune.patterns import parse_arrivals

    if load is not None and loads is not None:
        raise UsageError("--load and --loads both say how many requests arrive: give one of them")
    pattern = None if arrivals is None else parse_arrivals(arrivals, "--arrivals")
    loads_rps: tuple[float, ...] = ()
    if load is not None:
        loads_rps = (parse_load_rps(load, "--load"),)
    elif loads is not None:
        loads_rps = parse_loads_rps(loads, "--loads")
    return make_traffics(loads_rps, trace, pattern)


def parse_config(given: dict[str, str], where: str = "") -> "ServingConfig":
    """Return the configuration of which some knobs are named; the others are the runtime's default.

    Args:
        given: values by knob, named as the options of `autotune measure` without their dashes.
        where: the option in which they stand, for complaints.

    Raises:
        UsageError: an unknown knob, a value out of range, or knobs that contradict each other.
    """
    from autotune import spec
    from autotune.spec import ServingConfig

    def name(knob: str) -> str:
        return f"{where} {knob}" if where else f"--{knob}"

    for knob in given:
        if knob not in KNOBS:
            raise UsageError(
                f"{where}: there is no knob {knob!r}: name some of {', '.join(KNOBS)}"
                f"{did_you_mean(knob, KNOBS)}"
            )
    config = ServingConfig(
        replicas=_whole(given.get("replicas", "1"), name("replicas"), 1),
        intra_op_threads=_whole(given.get("intra-op-threads", "0"), name("intra-op-threads"), 0),
        inter_op_threads=_whole(given.get("inter-op-threads", "1"), name("inter-op-threads"), 1),
        execution_mode=_one_of(
            given.get("execution-mode"), name("execution-mode"), spec.ExecutionMode
        ),
        spinning=_yes(given.get("spinning", "yes"), name("spinning")),
        max_batch_size=_whole(given.get("max-batch-size", "1"), name("max-batch-size"), 1),
        batch_timeout_ms=_timeout_ms(given.get("batch-timeout", "0"), name("batch-timeout")),
        replicas_as=_one_of(given.get("replicas-as"), name("replicas-as"), spec.ReplicasAs),
        form=_one_of(given.get("form"), name("form"), spec.Form),
        provider=_one_of(given.get("provider"), name("provider"), spec.Provider),
        devices=_whole(given.get("devices", "1"), name("devices"), 1),
        overlap=_yes(given.get("overlap", "no"), name("overlap")),
        cuda_graphs=_yes(given.get("cuda-graphs", "no"), name("cuda-graphs")),
    )
    return check_config(config, name)


def parse_other(text: str, first: "ServingConfig") -> "ServingConfig":
    """Return the configuration of `--compare`: `default`, or knobs like `replicas=2,spinning=no`.

    Args:
        text: as given.
        first: what it is compared with, on whose device the default runs.

    Raises:
        UsageError: it cannot be read.
    """
    if text.strip() == "default":
        return first.default
    if "=" not in text and (hint := did_you_mean(text, ("default",))):
        raise UsageError(f"--compare {text!r} is neither default nor knobs{hint}")
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


def parse_budget_s(text: str) -> float:
    """Return the seconds that a search may take.

    Raises:
        UsageError: no duration, less than any search takes, or more than a day.
    """
    budget_s = parse_duration_s(text, "--budget")
    if budget_s < LEAST_BUDGET_S:
        raise UsageError(
            f"--budget {text!r} is too short: a search takes several seconds, and with less than "
            "a minute it can prove little"
        )
    return check_day(budget_s, f"--budget {text!r}")


def verbosity_of(verbose: bool, quiet: bool) -> int:
    """Return how much to report on the way: -1 nothing, 0 what is usual, 1 more.

    Raises:
        UsageError: more and nothing at once.
    """
    if verbose and quiet:
        raise UsageError("--verbose and --quiet contradict each other: give one of them")
    return int(verbose) - int(quiet)


def _whole(text: str, where: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{where} {text!r} is not a whole number") from None
    return check_whole(number, f"{where} {number}", least)


def _one_of(text: str | None, where: str, choice: Any) -> Any:
    """Return one of the words of a `Literal`, whose first is the default."""
    words = get_args(choice)
    if text is None:
        return words[0]
    if text in words:
        return text
    what = f"neither {words[0]} nor {words[1]}" if len(words) == 2 else "none of "
    what += "" if len(words) == 2 else ", ".join(words)
    raise UsageError(f"{where} {text!r} is {what}{did_you_mean(text, words)}")


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


def parse_allowed(device: str, providers: str | None, forms: str | None) -> "Allowed":
    """Return what `--device`, `--providers` and `--forms` allow to be tried.

    Raises:
        UsageError: there is no such device, provider or form.
    """

    def listed(text: str) -> list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]

    named = None if providers is None else listed(providers)
    return make_allowed(device, named, listed(forms or ""), lambda option: f"--{option}")


def parse_model(
    model: str,
    shape: list[str] | None,
    input: Path | None,
    requests: Path | None,
    seed: int,
    loading: Loading = AS_USUAL,
) -> "ModelSpec":
    """Return the model with what requests to it look like.

    Raises:
        ModelError: there is no such model.
        UsageError: an option contradicts another or cannot be read, or the seed is negative.
    """
    shapes, dtypes = parse_typed_shapes(shape or [], "--shape")
    return make_model(
        model, shapes, input, requests, seed, loading._replace(dtypes={**loading.dtypes, **dtypes})
    )
