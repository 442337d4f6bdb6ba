"""autotune: how many replicas, threads and batches serve a model best, found by measuring.

    tuned = autotune.search("model.onnx", slo_ms=50)
    print(tuned)                                # or display it in a notebook
    tuned.save("model.autotune.json")

    tuned = autotune.load("model.autotune.json")
    tuned.session_options(load_rps=80)          # onnxruntime.SessionOptions
    with tuned.open("model.onnx") as engine:    # the batcher and replicas that were measured
        engine.submit({"x": array}).result()

Every command of the command line is a function of the same name. Results print, show as tables in
a notebook, turn into pandas (`to_pandas()`) and hold everything as plain records (`record`).
Mistakes are raised as `autotune.AutotuneError`; its subclasses say of what.

Names are imported when first used: importing autotune loads no runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotune.api.check import CheckResult, check
    from autotune.api.doctor import DoctorResult, doctor
    from autotune.api.dry_run import Plan, dry_run
    from autotune.api.export import ExportResult, Servers, export, list_servers
    from autotune.api.files import CompareResult, Report, compare, report, schema
    from autotune.api.fleet import FleetResult, fleet_manifest, fleet_search
    from autotune.api.ls import Files, ls
    from autotune.api.measure import MeasureResult, measure
    from autotune.api.plan import PlanResult, plan
    from autotune.api.search import search
    from autotune.api.together import TogetherResult, search_together
    from autotune.api.verify import VerifyResult, verify
    from autotune.api.watch import WatchResult, watch
    from autotune.embed import StaleWarning, Tuned, load
    from autotune.engine.errors import DeadlineExceededError, EngineClosedError, QueueFullError
    from autotune.errors import (
        AutotuneError,
        ConfigFileError,
        MeasureError,
        ModelError,
        ServerError,
        StaleError,
        StoreError,
        UsageError,
    )
    from autotune.spec import ServingConfig
    from autotune.strategy.lattice_search import LatticeSearch
    from autotune.strategy.protocol import SearchSettings

_HOMES = {
    "AutotuneError": "autotune.errors",
    "CheckResult": "autotune.api.check",
    "CompareResult": "autotune.api.files",
    "ConfigFileError": "autotune.errors",
    "DeadlineExceededError": "autotune.engine.errors",
    "DoctorResult": "autotune.api.doctor",
    "EngineClosedError": "autotune.engine.errors",
    "ExportResult": "autotune.api.export",
    "Files": "autotune.api.ls",
    "FleetResult": "autotune.api.fleet",
    "LatticeSearch": "autotune.strategy.lattice_search",
    "MeasureError": "autotune.errors",
    "MeasureResult": "autotune.api.measure",
    "ModelError": "autotune.errors",
    "Plan": "autotune.api.dry_run",
    "PlanResult": "autotune.api.plan",
    "QueueFullError": "autotune.engine.errors",
    "Report": "autotune.api.files",
    "SearchSettings": "autotune.strategy.protocol",
    "ServerError": "autotune.errors",
    "Servers": "autotune.api.export",
    "ServingConfig": "autotune.spec",
    "StaleError": "autotune.errors",
    "StaleWarning": "autotune.embed",
    "StoreError": "autotune.errors",
    "TogetherResult": "autotune.api.together",
    "Tuned": "autotune.embed",
    "UsageError": "autotune.errors",
    "VerifyResult": "autotune.api.verify",
    "WatchResult": "autotune.api.watch",
    "check": "autotune.api.check",
    "compare": "autotune.api.files",
    "doctor": "autotune.api.doctor",
    "dry_run": "autotune.api.dry_run",
    "export": "autotune.api.export",
    "fleet_manifest": "autotune.api.fleet",
    "fleet_search": "autotune.api.fleet",
    "list_servers": "autotune.api.export",
    "load": "autotune.embed",
    "ls": "autotune.api.ls",
    "measure": "autotune.api.measure",
    "plan": "autotune.api.plan",
    "report": "autotune.api.files",
    "schema": "autotune.api.files",
    "search": "autotune.api.search",
    "search_together": "autotune.api.together",
    "verify": "autotune.api.verify",
    "watch": "autotune.api.watch",
}

__all__ = [
    "AutotuneError",
    "CheckResult",
    "CompareResult",
    "ConfigFileError",
    "DeadlineExceededError",
    "DoctorResult",
    "EngineClosedError",
    "ExportResult",
    "Files",
    "FleetResult",
    "LatticeSearch",
    "MeasureError",
    "MeasureResult",
    "ModelError",
    "Plan",
    "PlanResult",
    "QueueFullError",
    "Report",
    "SearchSettings",
    "ServerError",
    "Servers",
    "ServingConfig",
    "StaleError",
    "StaleWarning",
    "StoreError",
    "TogetherResult",
    "Tuned",
    "UsageError",
    "VerifyResult",
    "WatchResult",
    "check",
    "compare",
    "doctor",
    "dry_run",
    "export",
    "fleet_manifest",
    "fleet_search",
    "list_servers",
    "load",
    "ls",
    "measure",
    "plan",
    "report",
    "schema",
    "search",
    "search_together",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'autotune' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
