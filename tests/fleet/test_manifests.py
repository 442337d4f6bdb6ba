"""Manifests of Kubernetes: read by a YAML parser, and held against what is published.

Pods are validated with Kubernetes' own schemas. KubeRay's comes in no package: what is written
of it stands here by hand, after its published `rayclusters.ray.io`, v1.
"""

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from autotune.errors import UsageError
from autotune.fleet.manifests import PodSize, parse_machine_type, ray_cluster_yaml

TYPES = {"c7g.large": PodSize(2, "3Gi"), "c7i.xlarge": PodSize(4, "6Gi")}


def _object(required: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_TEMPLATE = _object(("spec",), spec={"type": "object"})
_WHOLE = {"type": "integer", "minimum": 0}
_GROUP = _object(
    ("groupName", "maxReplicas", "minReplicas", "rayStartParams", "template"),
    groupName={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"},
    replicas=_WHOLE,
    minReplicas=_WHOLE,
    maxReplicas=_WHOLE,
    rayStartParams=_TEXTS,
    template=_TEMPLATE,
)
RAY_CLUSTER = _object(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayCluster"},
    metadata=_object(("name",), name={"type": "string"}),
    spec=_object(
        ("headGroupSpec",),
        rayVersion={"type": "string"},
        headGroupSpec=_object(
            ("rayStartParams", "template"), rayStartParams=_TEXTS, template=_TEMPLATE
        ),
        workerGroupSpecs={"type": "array", "items": _GROUP},
    ),
)
"""What is written of KubeRay's `rayclusters.ray.io`, v1: names, types, what is required."""


def read(types: dict[str, PodSize]) -> Any:
    return yaml.safe_load(ray_cluster_yaml(types))


def groups() -> list[Any]:
    spec = read(TYPES)["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def test_it_has_the_fields_of_a_ray_cluster() -> None:
    jsonschema.validate(read(TYPES), RAY_CLUSTER)


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_its_pods_are_valid_to_kubernetes(version: str) -> None:
    for group in groups():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, **group["template"]}
        kubernetes_validate.validate(pod, version, strict=True)
    del pod["spec"]["containers"][0]["name"]
    with pytest.raises(kubernetes_validate.ValidationError, match="'name' is a required"):
        kubernetes_validate.validate(pod, version, strict=True)


def test_every_pod_is_guaranteed_with_whole_cpus() -> None:
    for group in groups():
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["resources"]["limits"]["cpu"].isdecimal()


def test_a_group_for_each_type_runs_there_and_tells_ray_so() -> None:
    workers = groups()[1:]
    assert [one["groupName"] for one in workers] == ["c7g-large", "c7i-xlarge"]
    for group, name in zip(workers, TYPES, strict=True):
        selector = group["template"]["spec"]["nodeSelector"]
        assert selector == {"node.kubernetes.io/instance-type": name}
        assert group["rayStartParams"]["resources"] == f"'{{\"machine-type:{name}\": 1}}'"
        assert group["rayStartParams"]["num-cpus"] == str(TYPES[name].cpus)


def test_it_says_what_the_kubelet_must_be_told() -> None:
    assert "--cpu-manager-policy=static" in ray_cluster_yaml(TYPES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("c7g.large", "write NAME=CPUS,MEMORY"),
        ("c7g.large=2", "memory is written like 3Gi"),
        ("c7g.large=1.5,3Gi", "CPUs are a whole number"),
        ("c7g.large=0,3Gi", "CPUs are a whole number"),
        ("c7g.large=2,3G", "memory is written like 3Gi"),
        ("c7g large=2,3Gi", "is no instance type"),
        ("=2,3Gi", "is no instance type"),
        (f"{'x' * 64}=2,3Gi", "is no instance type"),
        ('a"b=2,3Gi', "is no instance type"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_machine_type(text)


def test_types_that_are_the_same_to_kubernetes_are_refused() -> None:
    with pytest.raises(UsageError, match="two are the same"):
        ray_cluster_yaml({"a.b": PodSize(1, "1Gi"), "a-b": PodSize(1, "1Gi")})
    with pytest.raises(UsageError, match="add --machine-type"):
        ray_cluster_yaml({})
