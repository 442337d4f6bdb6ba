"""What may be compared, and what is refused with a reason."""

import pytest
from msgspec.structs import replace
from promised import TUNED

from autotune.comparison.files import compare_files
from autotune.comparison.premises import premises, same_machine, same_system, work_of
from autotune.config_file import TunedFile
from autotune.errors import UsageError


def of_requests(source: str, shapes: dict[str, list[int]] | None = None) -> TunedFile:
    shapes = TUNED.model.request_shapes if shapes is None else shapes
    model = replace(TUNED.model, request_source=source, request_shapes=shapes)
    return replace(TUNED, model=model)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(TUNED, arrivals="bursty x4"), "arrivals poisson, b with bursty x4"),
        (of_requests("generated, seed 0", {"bytes": [1, 64]}), "bytes 1x2048 in a and bytes 1x64"),
        (of_requests("80 % x 1x4; 20 % x 1x8; generated, seed 0"), "of one kind in a and 80 %"),
    ],
)
def test_what_says_nothing_of_the_other_is_refused(other: TunedFile, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare_files(TUNED, other)


def test_names_of_inputs_may_change_with_a_models_version() -> None:
    shapes = {"input_1": [*TUNED.model.request_shapes["bytes"]]}
    assert compare_files(TUNED, of_requests("generated, seed 0", shapes)).loads


def test_seeds_are_no_other_work_but_real_data_are_noted() -> None:
    assert work_of(of_requests("generated, seed 7")) == work_of(of_requests("generated, seed 0"))
    mixed = of_requests("80 % x 1x4; 20 % x 1x8; generated, seed 3")
    assert work_of(mixed) == "80 % x 1x4; 20 % x 1x8"
    found = compare_files(of_requests("generated, seed 0"), of_requests("real.npz"))
    assert any("requests hold other data" in note for note in found.notes)


def test_an_update_of_the_kernel_is_named_and_the_machine_stays_the_same() -> None:
    updated = replace(TUNED, machine=replace(TUNED.machine, os="Linux 99", memory_gib=1.0))
    assert same_machine(TUNED, updated)
    assert same_system(TUNED, updated)
    assert [one.what for one in premises(TUNED, updated)] == ["memory", "operating system"]
    quota = replace(TUNED, machine=replace(TUNED.machine, cpu_quota=1.5))
    assert not same_machine(TUNED, quota)
    assert premises(TUNED, quota)[0].b == "1.5 cores"


def test_another_runtime_is_another_system() -> None:
    other = replace(TUNED, runtime="onnxruntime 9.9")
    assert not same_system(TUNED, other)
    found = compare_files(TUNED, other)
    assert found.summary.startswith("Between two runtimes, ")
    assert found.machine_moved is None


def test_traces_are_compared_with_a_warning() -> None:
    traced = replace(TUNED, arrivals="trace")
    assert any("whether it is the same one" in note for note in compare_files(traced, traced).notes)
