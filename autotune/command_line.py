"""A measurement as the command line that repeats it: records in, arguments out."""

import os
import shlex

from autotune.config_file import TunedFile
from autotune.spec import RUNTIME_DEFAULT, ServingConfig


def knob_options(config: ServingConfig) -> list[str]:
    """Return the options of `autotune measure` for what is not the runtime's default."""
    options = []
    for name, value in (
        ("--replicas", config.replicas),
        ("--intra-op-threads", config.intra_op_threads),
        ("--inter-op-threads", config.inter_op_threads),
        ("--execution-mode", config.execution_mode),
        ("--max-batch-size", config.max_batch_size),
        ("--replicas-as", config.replicas_as),
        ("--form", config.form),
        ("--provider", config.provider),
        ("--devices", config.devices),
    ):
        if value != getattr(RUNTIME_DEFAULT, name.removeprefix("--").replace("-", "_")):
            options += [name, str(value)]
    for option, holds in (
        ("--no-spinning", not config.spinning),
        ("--overlap", config.overlap),
        ("--cuda-graphs", config.cuda_graphs),
    ):
        options += [option] if holds else []
    if config.batch_timeout_ms:
        options += ["--batch-timeout", f"{config.batch_timeout_ms!r}ms"]
    return options


def measure_command(tuned: TunedFile, config: ServingConfig, load_rps: float) -> str | None:
    """Return the command, quoted for a shell, that measures a configuration as the search did.

    None where the file does not say how requests or arrivals can be had again.
    """
    if tuned.repeat is None:
        return None
    load = ["--load", f"{load_rps!r}"]
    words = ["autotune", "measure", *tuned.repeat, *load, *knob_options(config)]
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """Return a word as a shell reads it, of letters that a terminal shows as they are.

    What steers a terminal is written as bash, zsh and POSIX (2024) read `$'...'`; so is what CI
    systems would take for a command in their logs.
    """
    if word.isprintable() and "##" not in word:
        return shlex.quote(word)
    return f"$'{''.join(map(_as_escape, word))}'"


def _as_escape(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    if letter.isprintable() and letter != "#":
        return letter
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))
