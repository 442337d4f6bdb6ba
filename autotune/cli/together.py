"""`autotune search` with several models: flags or a file of services -> one joint answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autotune.cli.exit_codes import SEARCHED, ExitCode
from autotune.cli.flags import parse_budget_s, parse_slo
from autotune.errors import UsageError

if TYPE_CHECKING:
    from autotune.together.question import Service, TogetherQuestion
    from autotune.together.records import TogetherFile

DEFAULT_OUTPUT = Path("together.autotune.json")
UNDERSTOOD = frozenset(
    (
        *("model", "slo", "percentile", "load", "arrivals", "budget", "seed"),
        *("store", "fresh", "allow_shared", "output", "verbose", "quiet", "json"),
    )
)
"""Options that mean something for several models."""
_LIKE = {"slo": "50ms", "load": "20"}
IN_FILE = frozenset(("slo", "percentile", "load", "arrivals"))
"""What a file of services says, and no option."""


def are_several(models: Sequence[str]) -> bool:
    """Whether what was named is more than one model, or a file of services."""
    return len(models) > 1 or models[0].endswith(".toml")


def search_several(models: Sequence[str], given: Mapping[str, object], verbosity: int) -> int:
    """Search for all models together, and say what was found.

    Args:
        models: as named, or one file of services.
        given: the options that were given, by their names in Python.
        verbosity: as `live.watch` has it.

    Raises:
        UsageError: an option that means nothing here, or cannot be used.
    """
    for name in given:
        if name not in UNDERSTOOD:
            raise UsageError(
                f"--{name.replace('_', '-')} is for one model: leave it out, or write what each "
                "model needs in a file of services (see docs/how-to/several-models.md)"
            )
    question = _question(models, given)
    return _run(question, verbosity, bool(given.get("json")))


def _question(models: Sequence[str], given: Mapping[str, object]) -> "TogetherQuestion":
    from autotune.stages.question import Keeping
    from autotune.together.asked import read_services
    from autotune.together.question import TogetherQuestion

    seed = given.get("seed", 0)
    assert isinstance(seed, int)
    if files := [one for one in models if one.endswith(".toml")]:
        if len(models) > 1:
            raise UsageError(f"{files[0]}: a file of services names all models: give it alone")
        if said := IN_FILE & set(given):
            raise UsageError(f"--{min(said)}: {models[0]} says that: change it there")
        services = read_services(Path(models[0]), seed)
    else:
        services = _of_flags(models, given, seed)
    budget, store = given.get("budget"), given.get("store")
    output = given.get("output", DEFAULT_OUTPUT)
    assert isinstance(output, Path)
    assert isinstance(store, Path | None)
    return TogetherQuestion(
        services=services,
        budget_s=None if budget is None else parse_budget_s(str(budget)),
        seed=seed,
        output=output,
        keeping=Keeping(
            store=store,
            fresh=bool(given.get("fresh")),
            allow_shared=bool(given.get("allow_shared")),
        ),
    )


def _of_flags(
    models: Sequence[str], given: Mapping[str, object], seed: int
) -> "tuple[Service, ...]":
    from autotune.patterns import parse_arrivals
    from autotune.together.asked import by_name, make_services, model_name
    from autotune.units import parse_load_rps

    names = [model_name(one) for one in models]
    for option in ("slo", "load"):
        if option not in given:
            raise UsageError(
                f"--{option} is missing: write it like "
                f"--{option} {','.join(f'{name}={_LIKE[option]}' for name in names)}"
            )
    slos = by_name(str(given["slo"]), "--slo", names)
    percentiles = by_name(str(given.get("percentile", "99")), "--percentile", names)
    loads = by_name(str(given["load"]), "--load", names)
    arrivals = given.get("arrivals")
    return make_services(
        models,
        {name: parse_slo(slos[name], percentiles[name]) for name in names},
        {name: parse_load_rps(loads[name], "--load") for name in names},
        None if arrivals is None else parse_arrivals(str(arrivals), "--arrivals"),
        seed,
    )


def _run(question: "TogetherQuestion", verbosity: int, json: bool) -> int:
    from autotune.cli.foreign import clean
    from autotune.cli.live import watch
    from autotune.together.make import search_together

    try:
        with watch(verbosity) as observe:
            found = search_together(question, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted before there was an answer; nothing was written", err=True)
        return ExitCode.INTERRUPTED
    print_together(found, json)
    if verbosity >= 0 and not json:
        typer.echo(f"\nWritten to {clean(str(question.output))}")
    return SEARCHED[found.status]


def print_together(found: "TogetherFile", json: bool) -> None:
    """Print what was found for several models, as a page or as the file itself."""
    if json:
        from autotune import config_file, tabular

        typer.echo(tabular.terminal_safe(config_file.to_json(found)), nl=False)
        return
    from autotune.cli.page import print_page
    from autotune.present.together import together_page

    print_page(together_page(found))
