"""autotune: how many replicas, threads and batches serve a model best, found by measuring.

    tuned = autotune.load("model.autotune.json")
    tuned.session_options(load_rps=80)          # onnxruntime.SessionOptions
    with tuned.open("model.onnx") as engine:    # the batcher and replicas that were measured
        engine.submit({"x": array}).result()

Names are imported when first used: importing autotune loads no runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotune.embed import StaleWarning, Tuned, load
    from autotune.errors import (
        AutotuneError,
        ConfigFileError,
        MeasureError,
        ModelError,
        ServerError,
        StaleError,
        UsageError,
    )
    from autotune.spec import ServingConfig
    from autotune.strategy.lattice_search import LatticeSearch
    from autotune.strategy.protocol import SearchSettings

_HOMES = {
    "AutotuneError": "autotune.errors",
    "ConfigFileError": "autotune.errors",
    "LatticeSearch": "autotune.strategy.lattice_search",
    "MeasureError": "autotune.errors",
    "ModelError": "autotune.errors",
    "SearchSettings": "autotune.strategy.protocol",
    "ServerError": "autotune.errors",
    "ServingConfig": "autotune.spec",
    "StaleError": "autotune.errors",
    "StaleWarning": "autotune.embed",
    "Tuned": "autotune.embed",
    "UsageError": "autotune.errors",
    "load": "autotune.embed",
}

__all__ = [
    "AutotuneError",
    "ConfigFileError",
    "LatticeSearch",
    "MeasureError",
    "ModelError",
    "SearchSettings",
    "ServerError",
    "ServingConfig",
    "StaleError",
    "StaleWarning",
    "Tuned",
    "UsageError",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'autotune' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
