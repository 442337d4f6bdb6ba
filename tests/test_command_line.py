import shlex

from drawn import DRAWN, NASTY, TWO
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from promised import TUNED

from autotune.cli.flags import parse_config
from autotune.command_line import knob_options, measure_command
from autotune.spec import ServingConfig

parallel = st.builds(
    ServingConfig,
    replicas=st.integers(1, 64),
    intra_op_threads=st.integers(0, 64),
    inter_op_threads=st.integers(2, 8),
    execution_mode=st.just("parallel"),
    spinning=st.booleans(),
)
batched = st.builds(
    ServingConfig,
    replicas=st.integers(1, 64),
    intra_op_threads=st.integers(0, 64),
    spinning=st.booleans(),
    max_batch_size=st.integers(2, 512),
    batch_timeout_ms=st.floats(0, 1000).filter(lambda ms: ms == 0 or ms > 0.001),
)

torch = st.builds(
    ServingConfig,
    replicas=st.integers(2, 64),
    replicas_as=st.sampled_from(["threads", "processes"]),
    form=st.sampled_from(["as_given", "compiled", "exported"]),
)
on_gpus = st.builds(
    ServingConfig,
    provider=st.sampled_from(["cuda", "tensorrt"]),
    replicas=st.integers(4, 64),
    devices=st.integers(1, 4),
    overlap=st.booleans(),
    cuda_graphs=st.booleans(),
)


@given(st.one_of(parallel, batched, torch, on_gpus))
def test_options_ask_for_the_configuration_that_they_were_made_of(config: ServingConfig) -> None:
    options = knob_options(config)
    given: dict[str, str] = {}
    while options:
        name = options.pop(0)
        if name in ("--no-spinning", "--overlap", "--cuda-graphs"):
            knob = name.removeprefix("--").removeprefix("no-")
            given[knob] = "no" if name.startswith("--no-") else "yes"
        else:
            given[name.removeprefix("--")] = options.pop(0)
    found = parse_config(given)
    assert abs(found.batch_timeout_ms - config.batch_timeout_ms) < 1e-9
    assert replace(found, batch_timeout_ms=config.batch_timeout_ms) == config


def test_a_command_is_quoted_for_a_shell() -> None:
    command = measure_command(replace(DRAWN, repeat=[NASTY, "--slo", "50ms"]), TWO, 12.5)
    assert command is not None
    assert shlex.split(command)[:3] == ["autotune", "measure", NASTY]
    assert shlex.split(command)[5:] == [
        *("--load", "12.5", "--replicas", "2", "--intra-op-threads", "1", "--no-spinning")
    ]


def test_a_file_that_does_not_say_how_has_no_command() -> None:
    assert measure_command(TUNED, TWO, 10.0) is None
