"""`autotune verify`: a real server with an export, held against what the file promises."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.options import (
    ArrivalsOption,
    FileArgument,
    FileSeedOption,
    InputOption,
    JsonOption,
    LoadOption,
    RequestsOption,
    ShapeOption,
    TraceOption,
)
from autotune.cli.promise import entry_for, model_for, pattern_for
from autotune.errors import ModelError, UsageError
from autotune.units import DAY_S, parse_duration_s

if TYPE_CHECKING:
    from autotune.config_file import PolicyEntry, TunedFile
    from autotune.servers.seen import Verified
    from autotune.spec import ServingConfig


def verify(
    file: FileArgument,
    server: Annotated[str, typer.Option(help="The server, as named for `export`.")],
    model: Annotated[
        str | None,
        typer.Option(help="The model, as named for `search`. [default: as the file names it]"),
    ] = None,
    load: LoadOption = None,
    duration: Annotated[str, typer.Option(help="Of each load.")] = "10s",
    python: Annotated[
        Path | None,
        typer.Option(help="Python that has the server installed. [default: this one]"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port for the server. [default: any that is free]")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Verify a server that runs already: where requests are posted."),
    ] = None,
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    seed: FileSeedOption = None,
    json: JsonOption = False,
) -> int:
    """Start a server with the tuned configurations, drive it, and compare with what was promised.

    Each configuration of the file is started and driven open-loop at its loads. Exit codes: 0 the
    SLO is kept and every knob that can be seen took effect; 1 the SLO is missed at a load for which
    the file promises it; 3 a knob did not take effect, or the answers differ.
    """
    from autotune import config_file, model_file
    from autotune.cli.app import INTERRUPTED
    from autotune.cli.live import watch
    from autotune.export.tuned import deployment_of
    from autotune.servers.samples import take_samples
    from autotune.servers.verify import VerifyQuestion, verify_here, verify_url

    tuned = config_file.read(file)
    seed = tuned.search.seed if seed is None else seed
    duration_s = parse_duration_s(duration, "--duration")
    if duration_s > DAY_S:
        raise UsageError(f"--duration {duration!r} is more than a day")
    interpreter = _interpreter(server, python, port, url)
    try:
        spec = model_for(tuned, model or tuned.model.name, shape, input, requests, seed)
    except ModelError as error:
        raise UsageError(f"{error}; say where the model lies with --model") from None
    if model_file.sha256(Path(spec.path)) != tuned.model.sha256:
        raise UsageError(f"{spec.path}: is not the model that was tuned: search again")
    groups = [[entry_for(tuned, load, file)]] if load is not None else _groups(tuned, url)
    pattern = pattern_for(tuned, groups[0][0].load_rps, arrivals, trace)
    found = []
    try:
        with watch() as observe:
            samples = take_samples(spec)
            for entries in groups:
                deployment = deployment_of(tuned, entries[-1], Path(spec.path))
                question = VerifyQuestion(server, deployment, entries, pattern, duration_s, seed)
                if url is not None:
                    found.append(verify_url(question, samples, url, observe))
                else:
                    found.append(verify_here(question, samples, interpreter, port, observe))
    except KeyboardInterrupt:
        typer.echo("interrupted; the server was ended", err=True)
        return INTERRUPTED
    return _tell(found, json)


def _interpreter(server: str, python: Path | None, port: int | None, url: str | None) -> Path:
    """Return the interpreter with which to start the server.

    Raises:
        UsageError: the server is unknown, cannot be started here, lacks a package, or its port is
            taken; or the address is none.
    """
    from autotune.export.exporters import exporter
    from autotune.servers.running import is_free, missing_modules
    from autotune.servers.starters import STARTERS

    exporter(server)
    here = python or Path(sys.executable)
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--url {url}: write it like http://127.0.0.1:8000/v2/models/M/infer")
        return here
    if server not in STARTERS:
        raise UsageError(
            f"--server {server} cannot be started here: choose one of {', '.join(STARTERS)}, or "
            "give --url of one that runs"
        )
    starter = STARTERS[server]
    if missing_modules(here, starter.modules):
        raise UsageError(
            f"--server {server} is not installed for {here}: pip install "
            f"{' '.join(starter.packages)}, or name with --python the interpreter that has it"
        )
    if port is not None and not (0 < port < 65_536 and is_free(port)):
        raise UsageError(f"--port {port} is in use or none that can be used: name another")
    return here


def _groups(tuned: "TunedFile", url: str | None) -> "list[list[PolicyEntry]]":
    """Return the loads of each configuration: one server each; a running one has but one."""
    groups: dict[ServingConfig, list[PolicyEntry]] = {}
    for entry in tuned.policy:
        if url is None or entry.config == tuned.recommended:
            groups.setdefault(entry.config, []).append(entry)
    return list(groups.values())


def _tell(found: "list[Verified]", json: bool) -> int:
    from autotune.servers.seen import exit_code

    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        from autotune.cli.verify_table import print_verified

        print_verified(found)
    return exit_code(found)
