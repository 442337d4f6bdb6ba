"""Generated models of the benchmarks: the smallest of each family, loaded and run."""

from pathlib import Path

import pytest
from starter.architectures import ARCHITECTURES, Architecture

from autotune.models.inspect_model import inspect_model

SMALL = [one for one in ARCHITECTURES if one.name.endswith("_small")]


def test_every_family_comes_in_three_sizes() -> None:
    sizes = [(one.family, one.name.rpartition("_")[2]) for one in ARCHITECTURES]
    families = {family for family, _ in sizes}
    assert sorted(sizes) == sorted(
        (family, size) for family in families for size in ("small", "medium", "large")
    )
    assert len({one.name for one in ARCHITECTURES}) == len(ARCHITECTURES)


@pytest.mark.parametrize("one", SMALL, ids=lambda one: one.name)
def test_it_runs_takes_requests_together_and_is_the_same_for_a_seed(
    one: Architecture, tmp_path: Path
) -> None:
    info = inspect_model(one.write(tmp_path))
    assert info.batchable, info.batch_reason
    assert info.traits.flops > 0
    assert info.traits.open_axes == len(one.shapes)
    assert one.make(0) == one.make(0)
    assert one.make(0) != one.make(1)


@pytest.mark.parametrize("name", ["vgg_small", "encoder_small", "gru_small", "mlp_deep_small"])
def test_another_seed_is_a_new_version_of_the_model(name: str, tmp_path: Path) -> None:
    one = next(one for one in SMALL if one.name == name)
    first, second = (
        inspect_model(one.write(tmp_path, seed)).traits.graph_sha256 for seed in (0, 1)
    )
    assert first == second
    assert first is not None
