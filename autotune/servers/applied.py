"""A server that runs already, and a command that gives it another configuration."""

import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from autotune.errors import ServerError
from autotune.exports.applied import CONFIG_VARIABLE, variables
from autotune.servers.drive import Connection, Target
from autotune.servers.running import last_lines
from autotune.spec import ServingConfig

APPLIED_WITHIN_S = 120.0
ANSWERS_WITHIN_S = 120.0
_POLL_S = 0.1


def apply(command: Sequence[str], config: ServingConfig, folder: Path) -> None:
    """Run the command with the configuration in its environment, and wait for its end.

    Args:
        command: program and arguments.
        config: what the server is to be given.
        folder: where the configuration is written for the command, and what that prints.

    Raises:
        ServerError: it cannot be run, takes too long, or fails; its last lines are shown.
    """
    said, file, log = f"--apply {shlex.join(command)}", folder / "config.json", folder / "apply.log"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(config)))
    told = {**variables(config), CONFIG_VARIABLE: str(file)}
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(
                command,
                env={**os.environ, **told},  # a person's own command: it needs what they have
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"{said}: cannot be run: {error.strerror}") from None
        code = _end_of(process)
    if code is None:
        text = f"{said}: did not end within {APPLIED_WITHIN_S:g} s"
        raise ServerError(f"{text}; its last lines: {last_lines(log)}")
    if code:
        text = f"{said}: ended with exit code {code}"
        raise ServerError(f"{text}; its last lines: {last_lines(log)}")


def wait_until_it_answers(target: Target) -> None:
    """Wait until the server answers a request.

    Raises:
        ServerError: it does not in time; what came last is shown.
    """
    deadline_s = time.monotonic() + ANSWERS_WITHIN_S
    while True:
        try:
            with Connection(target.url) as connection:
                connection.ask(target.bodies[0])
            return
        except ServerError as error:
            if time.monotonic() > deadline_s:
                text = f"{target.url} did not answer within {ANSWERS_WITHIN_S:g} s"
                raise ServerError(f"{text}: {error}") from None
        time.sleep(_POLL_S)


def _end_of(process: "subprocess.Popen[bytes]") -> int | None:
    """Return the exit code; None: it takes too long, and was killed."""
    try:
        return process.wait(APPLIED_WITHIN_S)
    except BaseException as error:
        # What it started stays: that may be the server.
        process.kill()
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return None
        raise
