"""A RayCluster of Kubernetes with a group of workers for each machine type.

Every pod is of QoS class Guaranteed with whole CPUs, requests equal to limits: where the kubelet's
CPU manager policy is static, its CPUs are then its own.

Sources: KubeRay's `RayCluster` (ray.io/v1); Kubernetes, "Control CPU Management Policies on the
Node" and "Pod Quality of Service Classes"; the well-known label
`node.kubernetes.io/instance-type`.
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from autotune.errors import UsageError
from autotune.exports.deployment import to_yaml
from autotune.fleet.nodes import LABEL

RAY_VERSION = "2.60.0"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
LONGEST_NAME = 63
"""Of a label's value."""
_MEMORY = re.compile(r"[1-9][0-9]*[MG]i")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_HEAD = (1, "4Gi")
_NOTES = """\
# Written by `autotune fleet search --kubernetes`.
#
# Each worker pod has whole CPUs, with requests equal to limits (QoS class Guaranteed). Their CPUs
# are theirs alone only on nodes whose kubelet runs with --cpu-manager-policy=static (of a node
# group: cpuManagerPolicy: static in its KubeletConfiguration). Without it the kernel moves threads
# between CPUs that other pods use as well, and `autotune doctor` will say so.
#
# CHANGE-ME: an image with Python, autotune[fleet] and the model's runtime, the same for all.
"""


class PodSize(NamedTuple):
    """What a pod on a machine type has."""

    cpus: int
    memory: str
    """As Kubernetes writes it: 3Gi."""


def parse_machine_type(text: str, option: str = "--machine-type") -> tuple[str, PodSize]:
    """Return name and size from a text like `c7g.large=2,3Gi`.

    Raises:
        UsageError: it cannot be read, or Kubernetes would refuse it.
    """
    name, equals, size = text.partition("=")
    if not equals:
        raise UsageError(f"{option} {text}: write NAME=CPUS,MEMORY, like c7g.large=2,3Gi")
    return check_name(name, option), parse_size(size, f"{option} {text}")


def check_name(name: str, option: str) -> str:
    """Return the name of a machine type, which stands in a label.

    Raises:
        UsageError: no label can have that value.
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise UsageError(
            f"{option} {name}: is no instance type: letters, digits, dots and dashes, at most "
            f"{LONGEST_NAME}"
        )
    return name


def parse_size(text: str, where: str) -> PodSize:
    """Return CPUs and memory from a text like `2,3Gi`.

    Raises:
        UsageError: no whole CPUs, or no memory in Mi or Gi.
    """
    cpus, _, memory = (part.strip() for part in text.partition(","))
    if not cpus.isdecimal() or not 1 <= int(cpus) <= 1024:
        raise UsageError(f"{where}: CPUs are a whole number, so that they can be a pod's own")
    if not _MEMORY.fullmatch(memory):
        raise UsageError(f"{where}: memory is written like 3Gi or 1500Mi")
    return PodSize(int(cpus), memory)


def ray_cluster_yaml(types: Mapping[str, PodSize]) -> str:
    """Return the manifest.

    Raises:
        UsageError: no type is given, or two of the same name as Kubernetes writes them.
    """
    if not types:
        raise UsageError(
            "--kubernetes needs the machine types: add --machine-type NAME=CPUS,MEMORY"
        )
    groups = {name: _NO_LETTERS.sub("-", name.lower()).strip("-") for name in types}
    if len(set(groups.values())) < len(groups):
        raise UsageError(f"--machine-type: {', '.join(types)}: two are the same to Kubernetes")
    lines = [
        "apiVersion: ray.io/v1",
        "kind: RayCluster",
        "metadata:",
        "  name: autotune-fleet",
        "spec:",
        f"  rayVersion: {to_yaml(RAY_VERSION)}",
        "  headGroupSpec:",
        "    rayStartParams:",
        "      # The head measures nothing.",
        '      num-cpus: "0"',
        *_template("head", PodSize(*_HEAD), None),
        "  workerGroupSpecs:",
    ]
    for name, size in types.items():
        # Ray reads a JSON object here, and KubeRay passes the text to a shell.
        resource = f"'{json.dumps({f'{LABEL}:{name}': 1})}'"
        lines += [
            f"  - groupName: {to_yaml(groups[name])}",
            "    replicas: 1",
            "    minReplicas: 1",
            "    maxReplicas: 1",
            "    rayStartParams:",
            f"      num-cpus: {to_yaml(str(size.cpus))}",
            f"      resources: {to_yaml(resource)}",
            *_template("worker", size, name),
        ]
    return _NOTES + "\n".join(lines) + "\n"


def _template(role: str, size: PodSize, machine: str | None) -> list[str]:
    amounts = [f"cpu: {to_yaml(str(size.cpus))}", f"memory: {to_yaml(size.memory)}"]
    selector = (
        []
        if machine is None
        else [
            "        nodeSelector:",
            f"          {INSTANCE_TYPE}: {to_yaml(machine)}",
        ]
    )
    return [
        "    template:",
        "      spec:",
        *selector,
        "        containers:",
        f"        - name: ray-{role}",
        "          image: CHANGE-ME",
        "          resources:",
        "            requests:",
        *(f"              {one}" for one in amounts),
        "            limits:",
        *(f"              {one}" for one in amounts),
    ]
