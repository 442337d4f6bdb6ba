"""`autotune.fleet_search`: arguments -> FleetQuestion -> fleet.search -> FleetResult."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from autotune import fleet_file
from autotune.api import asked, start
from autotune.api.asked import Input, Loads, PathLike, Shapes, Trace
from autotune.api.result import Result
from autotune.embed import Tuned
from autotune.errors import UsageError
from autotune.fleet.cluster import connected
from autotune.fleet.manifests import check_name, parse_size, ray_cluster_yaml
from autotune.fleet.search import FleetObserver, FleetQuestion
from autotune.fleet.search import search as search_fleet
from autotune.fleet_file import FleetFile
from autotune.given import check_whole
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.present.machine_types import types_page
from autotune.spec import Objective
from autotune.stages.question import Question

if TYPE_CHECKING:
    import pandas as pd

FleetProgress = bool | FleetObserver
"""Whether to report on standard error; or what is called with machine type and event."""


class FleetResult(Result[FleetFile]):
    """What was found on each machine type: `result["c7g.large"]` is what `search` returns."""

    @property
    def types(self) -> list[str]:
        """The machine types of the cluster, those included on which nothing was found."""
        return [one.type for one in self.record.machines]

    @property
    def missing(self) -> dict[str, str]:
        """Machine types on which nothing was found, and why."""
        return {one.type: one.reason for one in self.record.machines if one.reason is not None}

    @property
    def exit_code(self) -> int:
        """What `autotune fleet search` exits with: 0 all answered, 1 SLO missed, 4 one missing."""
        return fleet_file.exit_code(self.record)

    @speaks_python
    def __getitem__(self, machine: str) -> Tuned:
        """Return what was found on a machine type.

        Raises:
            UsageError: there is no such type, or nothing was found on it.
        """
        name = Path("this result")
        return Tuned(
            fleet_file.tuned_for(self.record, machine, name, "machine type"), stale="ignore"
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Return two rows for each machine type and load, as `Tuned.to_pandas` does for a load."""
        from autotune import rows
        from autotune.frames import frame_of

        found = [
            {"machine_type": one.type, **row}
            for one in self.record.machines
            if one.tuned is not None
            for row in rows.policy_rows(one.tuned)
        ]
        return frame_of(found, {"machine_type": str, **rows.POLICY})

    def to_json(self) -> str:
        """Return the text of the file."""
        return fleet_file.to_json(self.record)

    @speaks_python
    def save(self, output: PathLike) -> Path:
        """Write the file, whole or not at all; return where.

        Raises:
            UsageError: the place cannot be written, or holds something else.
        """
        path = asked.file(output, "output")
        fleet_file.check_writable(path)
        fleet_file.write(path, self.record)
        return path

    @speaks_python
    def report(self, output: PathLike) -> Path:
        """Write one HTML page that needs no network; return where.

        Raises:
            UsageError: the place cannot be written.
        """
        from autotune.reports.types_page import fleet_report
        from autotune.reports.writing import write_report

        return write_report(asked.file(output, "output"), fleet_report(self.record).encode())

    def __repr__(self) -> str:
        """The answer in one line."""
        return f"<autotune.FleetResult: {self.record.model}, {self.record.summary}>"

    def _page(self, wide: bool) -> Document:
        return page_in_python(types_page(self.record))


@speaks_python
def fleet_search(
    model: PathLike,
    *,
    slo_ms: float,
    ray: str,
    nodes_per_type: int = 1,
    at_once: int | None = None,
    percentile: float = 99.0,
    loads_rps: Loads | None = None,
    arrivals: str | None = None,
    trace: Trace | None = None,
    objective: Objective = "latency",
    budget_s: float | None = None,
    trials: int | None = None,
    shapes: Shapes | None = None,
    input: "Input | None" = None,
    requests: PathLike | None = None,
    seed: int = 0,
    store: PathLike | None = None,
    fresh: bool = False,
    allow_shared: bool = False,
    output: PathLike | None = None,
    progress: "FleetProgress" = False,
) -> FleetResult:
    """Run the same search on every machine type of a Ray cluster, side by side.

        found = autotune.fleet_search("model.onnx", slo_ms=50, ray="auto")
        print(found)
        found.save("model.fleet.json")

    Each search has its node to itself, and CPUs alone are searched. What is measured is kept here
    as it comes: where a node dies, another of its type goes on, and the same asked again goes on
    where it stopped.

    Args:
        model: a file, as for `search`; a function is none.
        slo_ms: the latency objective in milliseconds.
        ray: the cluster that this machine is a node of: HOST:PORT of its head, or "auto"; where
            this process is connected to one already, that is taken.
        nodes_per_type: nodes of each machine type that search, each on its own; the least
            disturbed answer is kept. Others of the type stand in for those that die.
        at_once: searches side by side; those that wait learn from those that ended. None: all.
        percentile: the share of requests, in %, that must be within it.
        loads_rps: one load in requests/s, or several; None: those that matter on each type.
        arrivals: how requests arrive, as for `search`.
        trace: recorded arrivals instead, likewise.
        objective: what to find, likewise.
        budget_s: seconds for each machine type; None: as for `search`.
        trials: most measurements on each before the confirmation.
        shapes: the shape of one request by input name.
        input: one request: an .npz file, or a dict of arrays by input name; None: generated.
        requests: a CSV file of several kinds of requests.
        seed: of arrivals and generated inputs.
        store: the file where measurements are kept; None: that of this user.
        fresh: start over, whatever the store has of this search.
        allow_shared: measure while another autotune on the same machine does, instead of waiting.
        output: the file to write; None: nothing is written, see `FleetResult.save`.
        progress: True reports on standard error; a function is called with machine type and event.

    Returns:
        The result; `found["c7g.large"]` is what was found on a machine type, `missing` says on
        which nothing was, and why.

    Raises:
        UsageError: an argument cannot be used, Ray is not installed, the cluster cannot be
            reached, or its nodes run different versions.
        ModelError: there is no such model, or it can be run on no node.
        MeasureError: nothing came to its end on any machine type.
        KeyboardInterrupt: interrupted before any machine type came to its end.
    """
    asked_slo = asked.slo(slo_ms, percentile)
    traffics, pattern = asked.traffics(asked.loads(loads_rps, "loads_rps"), trace, arrivals)
    most = asked.or_none(asked.whole, at_once, "at_once")
    with (
        asked.model(model, shapes, input, requests, seed) as spec,
        _watching(progress) as observe,
        connected(asked.text(ray, "ray")) as cluster,
    ):
        question = Question(
            model=spec,
            name=asked.path(model, "model"),
            slo=asked_slo,
            traffics=traffics,
            pattern=pattern,
            **start.aims(objective, "rrl", None, None),
            **start.limits(budget_s, trials),
            seed=spec.seed,
            keeping=asked.keeping(store, fresh, allow_shared),
            output=asked.or_none(asked.file, output, "output"),
        )
        copies = asked.whole(nodes_per_type, "nodes_per_type")
        fleet = FleetQuestion(
            question,
            check_whole(copies, f"nodes_per_type={copies}", 1),
            None if most is None else check_whole(most, f"at_once={most}", 1),
        )
        return FleetResult(search_fleet(fleet, cluster, observe))


@speaks_python
def fleet_manifest(machine_types: Mapping[str, str]) -> str:
    """Return the manifest of a RayCluster of Kubernetes for a fleet's search, as YAML.

        print(autotune.fleet_manifest({"c7g.large": "2,3Gi", "c7i.large": "2,3Gi"}))

    Args:
        machine_types: CPUs and memory of a pod, by machine type as its nodes' label
            `node.kubernetes.io/instance-type` says.

    Raises:
        UsageError: no types, or one that Kubernetes would refuse.
    """
    if not isinstance(machine_types, Mapping):
        raise UsageError(f"machine_types={machine_types!r} is not a dict like {{'t': '2,3Gi'}}")
    return ray_cluster_yaml(
        {
            check_name(asked.text(name, "machine_types"), "machine_types:"): parse_size(
                asked.text(size, f"machine_types[{name!r}]"), f"machine_types[{name!r}]={size!r}"
            )
            for name, size in machine_types.items()
        }
    )


@contextmanager
def _watching(progress: object) -> Iterator[FleetObserver]:
    if progress is True:
        from autotune.cli.fleet import FleetLines

        yield FleetLines(0).observe
    elif progress is False:
        yield lambda machine, event: None
    elif callable(progress):
        yield progress
    else:
        raise UsageError(f"progress={progress!r} is neither True, False nor a function")
