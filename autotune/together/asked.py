"""What a person gave for several models, checked and made into services."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autotune.arrivals import Traffic
from autotune.bounded_file import read_bytes
from autotune.errors import UsageError, did_you_mean
from autotune.given import make_model, make_slo, make_traffics
from autotune.patterns import Pattern, parse_arrivals
from autotune.spec import Slo
from autotune.tabular import printable
from autotune.together.question import MOST_MODELS, Service, Step
from autotune.units import parse_duration_s, parse_load_rps, parse_percentile, parse_shapes

MOST_BYTES = 1_000_000
"""Of a file of services."""
_OF_SERVICE = ("slo", "percentile", "load", "arrivals", "trace", "model", "chain", "shape", "input")
_OF_STEP = ("name", "model", "per_request", "shape", "input")


def by_name(text: str, option: str, names: Sequence[str]) -> dict[str, str]:
    """Return what an option says for each name: `a=20ms,b=100ms`, or one value for all.

    Raises:
        UsageError: a name that is not there, or is missing, or is there twice.
    """
    if "=" not in text:
        return dict.fromkeys(names, text)
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UsageError(f"{option} {text}: write {part!r} as NAME={part}, as the others")
        if name not in names:
            raise UsageError(
                f"{option} {part.strip()}: there is no model {name!r}: there are "
                f"{', '.join(names)}{did_you_mean(name, names)}"
            )
        if name in found:
            raise UsageError(f"{option} {text}: says twice what {name} shall have")
        found[name] = value
    for name in names:
        if name not in found:
            raise UsageError(f"{option} {text}: says nothing for {name}: add {name}=...")
    return found


def model_name(given: str) -> str:
    """Return what to call a model that was given so: `models/a.onnx` is `a`."""
    return Path(given.partition(":")[0]).stem or given


def make_services(
    models: Sequence[str],
    slos: Mapping[str, Slo],
    loads_rps: Mapping[str, float],
    pattern: Pattern | None,
    seed: int,
) -> tuple[Service, ...]:
    """Return a service for each model.

    Raises:
        ModelError: there is no such model.
        UsageError: one is given twice, or there are too many.
    """
    services = []
    for given in models:
        name = model_name(given)
        traffics, _ = make_traffics([loads_rps[name]], None, pattern)
        assert traffics is not None
        step = Step(name=name, model=make_model(given, {}, None, None, seed))
        services.append(Service(name=name, steps=(step,), slo=slos[name], traffic=traffics[0]))
    return check_services(services)


def check_services(services: Sequence[Service]) -> tuple[Service, ...]:
    """Return services that can be measured together.

    Raises:
        UsageError: there is but one model, or there are too many, or one is there twice.
    """
    steps = [step for one in services for step in one.steps]
    if len(steps) < 2:
        raise UsageError("several models are searched together: name at least two")
    if len(steps) > MOST_MODELS:
        raise UsageError(f"{len(steps)} models: at most {MOST_MODELS} are searched together")
    names: set[str] = set()
    models: set[tuple[str | None, Path]] = set()
    for step in steps:
        model = (step.model.function, Path(step.model.path).resolve())
        if model in models:
            raise UsageError(
                f"{step.model.path}: is given twice: name it once, with the sum of its loads"
            )
        if step.name in names:
            raise UsageError(
                f"two models are called {step.name!r}: rename a file, or name them in a file of "
                "services"
            )
        names.add(step.name)
        models.add(model)
    return tuple(services)


def read_services(path: Path, seed: int) -> tuple[Service, ...]:
    """Return what a TOML file asks for, a table for each service; paths count from its folder.

    Raises:
        ModelError: there is no such model.
        UsageError: it cannot be read, or says something that cannot be used.
    """
    try:
        tables = tomllib.loads(read_bytes(path, MOST_BYTES).decode())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: is not TOML: {printable(str(error))}") from None
    services = []
    for name, table in tables.items():
        where = f"{path}: [{name}]"
        if not isinstance(table, dict):
            raise UsageError(f"{where}: is no table: write [{name}] and below it what it shall be")
        services.append(_service(name, table, where, path.parent, seed))
    return check_services(services)


def _service(name: str, table: dict[str, Any], where: str, folder: Path, seed: int) -> Service:
    _only(table, _OF_SERVICE, where)
    for key in ("slo", "load"):
        if key not in table and not (key == "load" and "trace" in table):
            raise UsageError(f"{where}: says no {key}")
    if ("model" in table) == ("chain" in table):
        raise UsageError(f"{where}: say either model or chain")
    slo = make_slo(
        1e3 * parse_duration_s(str(table["slo"]), f"{where} slo"),
        parse_percentile(str(table.get("percentile", 99)), f"{where} percentile"),
        f"{where} slo",
        f"{where} percentile",
    )
    chain = table.get("chain", [{k: table[k] for k in ("model", "shape", "input") if k in table}])
    if not isinstance(chain, list) or not all(isinstance(one, dict) for one in chain) or not chain:
        raise UsageError(f"{where} chain: is no list of tables like {{ model = 'a.onnx' }}")
    own = name if "model" in table else None
    steps = tuple(
        _step(one, own, f"{where} step {number}", (folder, seed, number == 1))
        for number, one in enumerate(chain, 1)
    )
    return Service(name=name, steps=steps, slo=slo, traffic=_traffic(table, where, folder))


def _traffic(table: dict[str, Any], where: str, folder: Path) -> Traffic:
    loads = [parse_load_rps(str(table["load"]), f"{where} load")] if "load" in table else []
    arrivals = table.get("arrivals")
    pattern = None if arrivals is None else parse_arrivals(str(arrivals), f"{where} arrivals")
    trace = folder / str(table["trace"]) if "trace" in table else None
    traffics, _ = make_traffics(loads, trace, pattern)
    assert traffics is not None
    return traffics[0]


def _step(table: dict[str, Any], own: str | None, where: str, at: tuple[Path, int, bool]) -> Step:
    folder, seed, is_first = at
    _only(table, _OF_STEP, where)
    given, times = table.get("model"), table.get("per_request", 1)
    if not isinstance(given, str):
        raise UsageError(f"{where}: says no model")
    if type(times) is not int or not 1 <= times <= 1000 or (is_first and times != 1):
        raise UsageError(f"{where} per_request: {times!r} is no number of executions of this step")
    shapes = table.get("shape", {})
    if not isinstance(shapes, dict):
        raise UsageError(f"{where} shape: write {{ NAME = '1x3x48x192' }}")
    sizes = [f"{name}={value}" for name, value in shapes.items()]
    input = folder / str(table["input"]) if "input" in table else None
    path = str(folder / given) if (folder / given).exists() else given
    model = make_model(path, parse_shapes(sizes, f"{where} shape"), input, None, seed)
    return Step(
        name=str(table.get("name", own or model_name(given))), model=model, per_request=times
    )


def _only(table: dict[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(
                f"{where}: there is no {key!r} here: it knows {', '.join(known)}"
                f"{did_you_mean(key, known)}"
            )
