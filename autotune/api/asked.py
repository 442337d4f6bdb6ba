"""What a caller in Python gave, as the records that the command line makes of its options."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy.typing as npt
from msgspec import structs

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.embed import Tuned
from autotune.errors import UsageError
from autotune.given import (
    AS_USUAL,
    Loading,
    check_day,
    make_allowed,
    make_model,
    make_slo,
    make_traffics,
)
from autotune.promise import arrivals_of, request_shapes
from autotune.spec import Allowed, ModelSpec, Slo
from autotune.stages.events import Observer
from autotune.stages.question import Keeping
from autotune.strategy import plugins
from autotune.units import DTYPES, MAX_LOAD_RPS, MAX_WATTS

if TYPE_CHECKING:
    from autotune.arrivals import Traffic
    from autotune.patterns import Pattern

T = TypeVar("T")
PathLike = str | os.PathLike[str]
"""A path; of a model also `package:file` inside an installed package."""
Shapes = Mapping[str, Sequence[int]]
"""Input name -> shape of one request."""
Input = PathLike | Mapping[str, npt.ArrayLike]
"""One request: an .npz file, or its arrays by input name."""
Trace = PathLike | Iterable[float]
"""Recorded arrivals in seconds: a CSV file, or the times themselves."""
Loads = float | Iterable[float]
"""One load in requests/s, or several."""
Progress = bool | Observer
"""Whether to report on standard error, a line for each result; or what is called with events."""


def number(value: object, name: str) -> float:
    """Return a number.

    Raises:
        UsageError: it is none, such as a text with a unit.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name}={value!r} is not a number")
    return float(value)


def above_zero(value: object, name: str) -> float:
    """Return a number above zero.

    Raises:
        UsageError: it is none, or has no end.
    """
    found = number(value, name)
    if not 0 < found < float("inf"):
        raise UsageError(f"{name}={value!r} must be above zero, and finite")
    return found


def whole(value: object, name: str) -> int:
    """Return a whole number.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name}={value!r} is not a whole number")
    return int(value)


def or_none(check: Callable[[object, str], T], value: object, name: str) -> T | None:
    """Return what a check makes of a value; None: nothing was given."""
    return None if value is None else check(value, name)


def share(value: object, name: str) -> float:
    """Return a share between 0 and 1, both excluded.

    Raises:
        UsageError: it is none.
    """
    found = number(value, name)
    if not 0 < found < 1:
        raise UsageError(f"{name}={value!r} is not a share between 0 and 1, like 0.05")
    return found


def seconds(value: object, name: str) -> float:
    """Return a time to measure.

    Raises:
        UsageError: not above zero, or more than a day.
    """
    return check_day(above_zero(value, name), f"{name}={value!r}")


def load(value: object, name: str) -> float:
    """Return a load in requests/s.

    Raises:
        UsageError: not above zero, or more than can be issued.
    """
    found = above_zero(value, name)
    if found > MAX_LOAD_RPS:
        raise UsageError(
            f"{name}={value!r} is more than can be issued on one machine "
            f"(at most {MAX_LOAD_RPS:,.0f} requests/s)"
        )
    return found


def watts(value: object, name: str) -> float:
    """Return a power in watts.

    Raises:
        UsageError: not above zero, or more than any machine draws.
    """
    found = above_zero(value, name)
    if found > MAX_WATTS:
        raise UsageError(f"{name}={value!r} must be at most {MAX_WATTS:,.0f} W")
    return found


def loads(value: object, name: str) -> list[float]:
    """Return one load or several, ascending and without repeats; None: none.

    Raises:
        UsageError: one is no load, or an empty list.
    """
    if value is None:
        return []
    one_by_one = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    found = sorted({load(one, name) for one in one_by_one})
    if not found:
        raise UsageError(f"{name} is empty: name a load, or leave it out")
    return found


def path(value: object, name: str) -> str:
    """Return a path.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name}={value!r} is not a path")
    return os.fsdecode(value)


def file(value: object, name: str) -> Path:
    """Return a path as one.

    Raises:
        UsageError: it is none.
    """
    return Path(path(value, name))


def tuned_file(file: PathLike | Tuned) -> tuple[TunedFile, str]:
    """Return a tuned file, and what to call it.

    Raises:
        ConfigFileError: it cannot be read.
    """
    if isinstance(file, Tuned):
        return file.file, "this result" if file.path is None else str(file.path)
    name = path(file, "file")
    return config_file.read(Path(name)), name


def pattern(
    tuned: TunedFile, load_rps: float, trace: Trace | None, arrivals: str | None
) -> "Pattern":
    """Return how requests arrive: as given, else as the file says.

    Raises:
        UsageError: it cannot be read, or the file was tuned for a trace, which it lacks.
    """
    if trace is None and arrivals is None:
        return arrivals_of(tuned)
    found, given = traffics([load_rps], trace, arrivals)
    return found[0].pattern if found else given


def slo(slo_ms: object, percentile: object) -> Slo:
    """Return the objective.

    Raises:
        UsageError: no latency of up to an hour, or no percentile.
    """
    at = number(percentile, "percentile")
    if 0 < at < 1:
        raise UsageError(f"percentile={percentile!r} is a share: write {100 * at:.12g}")
    where = f"slo_ms={slo_ms!r}"
    return make_slo(above_zero(slo_ms, "slo_ms"), at, where, f"percentile={percentile!r}")


def traffics(
    loads_rps: Sequence[float], trace: Trace | None, arrivals: str | None
) -> "tuple[list[Traffic] | None, Pattern]":
    """Return one traffic per load, None where there is none, and their pattern.

    Raises:
        UsageError: a trace and a pattern at once, or one that cannot be read.
    """
    from autotune.patterns import parse_arrivals

    if arrivals is not None and not isinstance(arrivals, str):
        raise UsageError(f"arrivals={arrivals!r} is not a text like 'bursty:4'")
    pattern = None if arrivals is None else parse_arrivals(arrivals, "--arrivals")
    given: Path | Traffic | None = None
    if isinstance(trace, str | os.PathLike):
        given = Path(trace)
    elif trace is not None:
        given = _recorded(trace)
    return make_traffics(loads_rps, given, pattern)


def _recorded(times: Iterable[float]) -> "Traffic":
    from autotune.arrivals import recorded

    known = []
    for place, time_s in enumerate(times):
        if not 0 <= number(time_s, f"trace[{place}]") < float("inf"):
            raise UsageError(f"trace[{place}]={time_s!r} is not a time of 0 s or later")
        known.append((f"arrival {place}", float(time_s)))
    return recorded(known, "trace", None)


def shapes_or_those_of(
    tuned: TunedFile, shapes: Shapes | None, input: Input | None, requests: PathLike | None
) -> Shapes | None:
    """Return the shapes that were given, those of the tuned file where nothing else was."""
    if shapes is None and input is None and requests is None:
        return request_shapes(tuned)
    return shapes


@contextmanager
def model(
    name: PathLike,
    shapes: Shapes | None,
    input: Input | None,
    requests: PathLike | None,
    seed: object,
    loading: Loading = AS_USUAL,
) -> Iterator[ModelSpec]:
    """Yield the model with what requests to it look like; arrays lie in a file until the end.

    Raises:
        ModelError: there is no such model.
        UsageError: requests are described twice or cannot be read.
    """
    from autotune.api.arrays import arrays_in_a_file

    at, sizes = path(name, "model"), _shapes(shapes)
    mix = None if requests is None else Path(path(requests, "requests"))
    if not isinstance(input, Mapping):
        file = None if input is None else Path(path(input, "input"))
        yield make_model(at, sizes, file, mix, whole(seed, "seed"), loading)
        return
    with arrays_in_a_file(input) as (file, kind):
        spec = make_model(at, sizes, file, mix, whole(seed, "seed"), loading)
        if sizes:
            raise UsageError("--shape and --input both say what a request is: give one of them")
        yield structs.replace(spec, requests=[kind], input_file=None)


def keeping(store: object, fresh: object, allow_shared: object) -> Keeping:
    """Return where measurements are kept.

    Raises:
        UsageError: no path, or something else than True or False.
    """
    place = None if store is None else Path(path(store, "store"))
    return Keeping(
        store=place,
        fresh=whether(fresh, "fresh"),
        allow_shared=whether(allow_shared, "allow_shared"),
    )


def strategy(value: object) -> str:
    """Return the name of a search.

    Raises:
        UsageError: it is none, or what an installed package brings by it cannot be used.
    """
    if not isinstance(value, str):
        raise UsageError(f"strategy={value!r} is not a text like {plugins.BUILT_IN!r}")
    return plugins.check(value)


def text(value: object, name: str) -> str:
    """Return a text.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, str):
        raise UsageError(f"{name}={value!r} is no text")
    return value


def whether(value: object, name: str) -> bool:
    """Return True or False.

    Raises:
        UsageError: it is neither.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value!r} is neither True nor False")
    return value


def loading(
    dtypes: Mapping[str, str] | None, trust_pickle: object, channels_last: object
) -> Loading:
    """Return how a torch model is loaded.

    Raises:
        UsageError: a type that no tensor has, or something else than True or False.
    """
    trusts = whether(trust_pickle, "trust_pickle")
    keeps_last = whether(channels_last, "channels_last")
    found = dtypes or {}
    if not isinstance(found, Mapping):
        raise UsageError(f"dtypes={dtypes!r} is not a dict like {{'ids': 'int64'}}")
    for name, dtype in found.items():
        if dtype not in DTYPES:
            raise UsageError(f"dtypes[{name!r}]={dtype!r} is none of {', '.join(DTYPES)}")
    return Loading(dict(found), trusts, keeps_last)


def allowed(device: object, providers: object, forms: object) -> Allowed:
    """Return what may be tried.

    Raises:
        UsageError: there is no such device, provider or form.
    """
    if not isinstance(device, str):
        raise UsageError(f"device={device!r} is not a text like 'cuda:0'")
    for name, value in (("providers", providers), ("forms", forms)):
        if isinstance(value, str) or not isinstance(value, Iterable | None):
            raise UsageError(f"{name}={value!r} is not a list of names")
    named = None if providers is None else [str(one) for one in cast("list[object]", providers)]
    others = [str(one) for one in cast("list[object]", forms or ())]
    return make_allowed(device, named, others, lambda option: option)


def _shapes(shapes: object) -> dict[str, list[int]]:
    if shapes is None:
        return {}
    if not isinstance(shapes, Mapping):
        raise UsageError(f"shapes={shapes!r} is not a dict like {{'images': [1, 3, 320, 320]}}")
    found = {}
    for name, sizes in shapes.items():
        where = f"shapes={{{name!r}: {sizes!r}}}"
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise UsageError(f"{where}: write the sizes as a list, like [1, 3, 320, 320]")
        found[name] = [whole(size, f"shapes[{name!r}]") for size in sizes]
        if not found[name] or min(found[name]) < 1:
            raise UsageError(f"{where}: every size must be at least 1")
    return found


@contextmanager
def watching(progress: Progress) -> Iterator[Observer]:
    """Yield what is told of each step."""
    if progress is True:
        from autotune.cli.lines import Lines

        yield Lines(lambda text: print(text, file=sys.stderr, flush=True)).observe  # noqa: T201
    elif progress is False:
        yield lambda event: None
    elif callable(progress):
        yield progress
    else:
        raise UsageError(f"progress={progress!r} is neither True, False nor a function of events")
