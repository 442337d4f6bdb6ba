"""What the command line says, as a caller in Python reads it."""

import pytest
from typer.main import get_command

from autotune.cli.app import app
from autotune.errors import ModelError, UsageError
from autotune.present.in_python import ARGUMENTS, FLAGS, in_python, speaks_python

ONLY_THERE = {"dry-run", "verbose", "quiet", "json", "csv", "junit", "github", "list", "help"} | {
    "all-trials",
    "fleet",
    "kubernetes",
    "machine-type",
    "markdown",
    "picture",
    "png",
    "svg",
}
"""Options that no function has, so that no complaint of one names them."""


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("--seed -1 must not be negative", "seed=-1 must not be negative"),
        ("raise --budget", "raise budget_s"),
        ("measure for longer: --budget 3m", "measure for longer: budget_s=180"),
        ("too short (--duration 30s)", "too short (duration_s=30)"),
        ("--slo 0.05s and", "slo_ms=50 and"),
        ("allow more: --tolerance 31%", "allow more: tolerance=0.31"),
        ("add --execution-mode parallel", "add execution_mode='parallel'"),
        ("give --no-spinning", "give spinning=False"),
        ("or replace with --force", "or replace with force=True"),
        ("-o a.json: is a directory", "output='a.json': is a directory"),
        ("--trace and --arrivals both say", "trace and arrivals both say"),
        ("needs --inter-op-threads of 2 or more", "needs inter_op_threads of 2 or more"),
        ("--compare max-batch-size 4: cannot", "compare max-batch-size 4: cannot"),
        ("--shape x=1x7: the model", "shapes={'x': [1, 7]}: the model"),
        ("like --shape x=1x7 --shape y=2, or", "like shapes={'x': [1, 7], 'y': [2]}, or"),
        ("--shape z=...: no input", "shapes z=...: no input"),
        ("--cpuset-cpus=2, not --cpus", "--cpuset-cpus=2, not --cpus"),
        ("no-o 1 and x--slo 5ms", "no-o 1 and x--slo 5ms"),
        ("ask `autotune doctor` why", "ask autotune.doctor() why"),
        (
            "autotune search my.onnx --slo 50ms --load 80",
            "autotune.search('my.onnx', slo_ms=50, loads_rps=80)",
        ),
    ],
)
def test_options_become_arguments_and_commands_calls(said: str, wanted: str) -> None:
    assert in_python(said) == wanted


def test_every_option_of_the_command_line_has_a_word() -> None:
    commands = getattr(get_command(app), "commands", {})
    options = {
        name.removeprefix("--")
        for command in commands.values()
        for param in command.params
        if param.param_type_name == "option"
        for name in (*param.opts, *param.secondary_opts)
        if name.startswith("--")
    }
    assert options - ONLY_THERE == {*ARGUMENTS, *FLAGS}


def test_a_complaint_keeps_its_kind_and_its_place() -> None:
    @speaks_python
    def refuse(kind: type[Exception]) -> None:
        raise kind("--load 5 is too much")

    for kind in (UsageError, ModelError):
        with pytest.raises(kind, match=r"^load_rps=5 is too much$"):
            refuse(kind)
    with pytest.raises(ValueError, match=r"^--load 5 is too much$"):
        refuse(ValueError)
