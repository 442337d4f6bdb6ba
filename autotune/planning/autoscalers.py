"""What a plan found, as settings of autoscalers: Kubernetes' HPA, KEDA, Ray Serve.

Each is a fragment with the numbers filled in; a comment says where each number comes from. One
deployment (of Ray: one Serve deployment) stands for one machine type, a pod or Ray replica for one
machine, which runs what the plan says of its type.

Sources: `HorizontalPodAutoscaler` of autoscaling/v2 (Kubernetes API reference); KEDA 2.17,
`ScaledObject`, its Prometheus and cron scalers; Ray 2.60, `ray.serve.config.AutoscalingConfig`.
"""

import math
import re
from collections.abc import Iterable, Iterator

from autotune.errors import UsageError
from autotune.exports.deployment import to_yaml
from autotune.planning.attained import QUEUE_BOUND
from autotune.planning.cron import Floor, daily_floors
from autotune.planning.policies import (
    HPA_MORE,
    HPA_STABILISATION_S,
    HPA_SYNC_S,
    RAY_DOWNSCALE_S,
    RAY_LOOK_BACK_S,
    RAY_UPSCALE_S,
)
from autotune.planning.records import Kind, Plan, PolicyPlanned, TypePlanned
from autotune.planning.words import NAMES, money
from autotune.tabular import printable
from autotune.units import format_ms, format_percent, format_rps

LONGEST_NAME = 53
"""Of a Kubernetes label 63, less what KEDA puts before the names of the HPAs that it makes."""
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
TARGET_UTILISATION, TARGET_IN_FLIGHT = "target_utilisation", "target_ongoing_requests"
"""Of a policy's settings."""


def hpa_yaml(plan: Plan) -> str:
    """Return a HorizontalPodAutoscaler for each machine type that scaling by utilisation runs.

    Raises:
        UsageError: nothing of the plan can be deployed like this.
    """
    policy = _demand(plan, "reactive_hpa", "--hpa")
    return _documents(_header(plan, policy), (_hpa(plan, policy, *one) for one in _runs(policy)))


def keda_yaml(plan: Plan) -> str:
    """Return a ScaledObject for each machine type that scaling by utilisation runs.

    Where the trace has two days or more, each with the same hours of high load, cron triggers
    keep as many machines as every day needed in these hours, of the policy that the plan chose.

    Raises:
        UsageError: nothing of the plan can be deployed like this.
    """
    policy = _demand(plan, "reactive_hpa", "--keda")
    return _documents(_header(plan, policy), (_keda(plan, policy, *one) for one in _runs(policy)))


def ray_yaml(plan: Plan) -> str:
    """Return deployments of a Ray Serve config, one for each machine type that is run.

    Raises:
        UsageError: nothing of the plan can be deployed like this.
    """
    policy = _demand(plan, "reactive_ray", "--ray")
    lines = [*_header(plan, policy), "deployments:"]
    for place, least, most in _runs(policy):
        lines += _ray(plan, policy, place, (least, most))
    return "\n".join(lines) + "\n"


def dns_name(*parts: str) -> str:
    """Return a label as Kubernetes allows it, of letters, digits and dashes."""
    plain = [_NO_LETTERS.sub("-", part.lower()).strip("-") for part in parts]
    name = "-".join(filter(None, plain))[:LONGEST_NAME].strip("-")
    return name or "model"


def _demand(plan: Plan, kind: Kind, option: str) -> PolicyPlanned:
    if plan.answer != "met":
        raise UsageError(f"{option}: no plan meets {plan.slo}: there are no numbers to fill in")
    policy = plan.policy(kind)
    if policy is None or not any(policy.most_machines):
        raise UsageError(f"{option}: scaling {NAMES[kind]} takes no part in the plan")
    return policy


def _runs(policy: PolicyPlanned) -> list[tuple[int, int, int]]:
    """Return place, least and most of each type that runs; a deployment has one pod at least."""
    return [
        (place, max(1, least), most)
        for place, (least, most) in enumerate(
            zip(policy.least_machines, policy.most_machines, strict=True)
        )
        if most
    ]


def _documents(header: list[str], documents: Iterable[list[str]]) -> str:
    parts = ["\n".join(lines) for lines in documents]
    return "\n".join([*header, "\n---\n".join(parts)]) + "\n"


def _header(plan: Plan, policy: PolicyPlanned) -> list[str]:
    """Return comments: how this way to scale did, and whether the plan chose another."""
    lines = [
        f"autotune {plan.autotune} plan, {plan.model}, {plan.slo}, trace {plan.trace.source}",
        f"Scaled {NAMES[policy.kind]} on that trace: {format_percent(policy.attainment)} % within "
        f"the SLO, {money(policy.cost_per_million, plan.currency)} a million requests.",
    ]
    if sum(most > 0 for most in policy.most_machines) > 1:
        lines.append("Requests must be spread over the types in proportion to what one serves.")
    if not policy.meets_slo:
        lines.append("THIS MISSES THE SLO on that trace: lower the target, or scale another way.")
    chosen = None if plan.chosen is None else plan.policy(plan.chosen)
    if chosen is not None and chosen.kind != policy.kind:
        lines.append(
            f"The plan's choice is another: scaled {NAMES[chosen.kind]}, "
            f"{format_percent(chosen.attainment)} % within the SLO, "
            f"{money(chosen.cost_per_million, plan.currency)} a million requests."
        )
    return [f"# {printable(line)}" for line in lines]


def _name(plan: Plan, place: int) -> str:
    """Return a name for a type's deployment that no other type of the plan has."""
    names = [dns_name(plan.model, one.name) for one in plan.types]
    return names[place] if names.count(names[place]) == 1 else dns_name(f"{place}", names[place])


def _per_pod_rps(one: TypePlanned, policy: PolicyPlanned) -> float:
    return one.capacity_rps * policy.settings[TARGET_UTILISATION]


def _why_target(one: TypePlanned, policy: PolicyPlanned) -> str:
    share = policy.settings[TARGET_UTILISATION]
    return (
        f"# {format_rps(one.capacity_rps)}/s, which one {printable(one.name)} serves within the "
        f"SLO, times a target of {share:g}"
    )


def _counts(indent: str, least: str, most: str, range_: tuple[int, int]) -> list[str]:
    return [
        f"{indent}# The least and the most that ran on the trace; two or more survive a failure.",
        f"{indent}{least}: {range_[0]}",
        f"{indent}{most}: {range_[1]}",
    ]


def _behavior(indent: str) -> list[str]:
    lines = [
        "behavior:",
        "  scaleUp:",
        "    # Kubernetes' defaults, which were played on the trace.",
        "    stabilizationWindowSeconds: 0",
        "    selectPolicy: Max",
        "    policies:",
        f"      - {{type: Percent, value: 100, periodSeconds: {HPA_SYNC_S:.0f}}}",
        f"      - {{type: Pods, value: {HPA_MORE}, periodSeconds: {HPA_SYNC_S:.0f}}}",
        "  scaleDown:",
        "    # The highest recommendation of so many seconds holds.",
        f"    stabilizationWindowSeconds: {HPA_STABILISATION_S:.0f}",
    ]
    return [f"{indent}{line}" for line in lines]


def _hpa(plan: Plan, policy: PolicyPlanned, place: int, least: int, most: int) -> list[str]:
    one, name = plan.types[place], _name(plan, place)
    return [
        "apiVersion: autoscaling/v2",
        "kind: HorizontalPodAutoscaler",
        "metadata:",
        f"  name: {to_yaml(name)}",
        "spec:",
        "  scaleTargetRef:",
        "    apiVersion: apps/v1",
        "    kind: Deployment",
        f"    name: {to_yaml(name)}",
        *_counts("  ", "minReplicas", "maxReplicas", (least, most)),
        "  metrics:",
        "    - type: Pods",
        "      pods:",
        "        metric:",
        "          # Each pod's requests/s, which a metrics adapter must provide.",
        "          name: requests_per_second",
        "        target:",
        "          type: AverageValue",
        f"          {_why_target(one, policy)}",
        f"          averageValue: {to_yaml(_quantity(_per_pod_rps(one, policy)))}",
        *_behavior("  "),
    ]


def _quantity(value: float) -> str:
    """Return a Kubernetes quantity, in thousandths where it is no whole number."""
    thousandths = max(1, math.floor(1000 * value))
    return f"{thousandths}m" if thousandths % 1000 else f"{thousandths // 1000}"


def _keda(plan: Plan, policy: PolicyPlanned, place: int, least: int, most: int) -> list[str]:
    one, name = plan.types[place], _name(plan, place)
    query = f'sum(rate(requests_total{{deployment="{name}"}}[1m]))'
    chosen = policy if plan.chosen is None else plan.policy(plan.chosen) or policy
    floors = [floor for floor in daily_floors(plan, chosen, place) if floor.machines > least]
    most = max([most, *(floor.machines for floor in floors)])
    return [
        "apiVersion: keda.sh/v1alpha1",
        "kind: ScaledObject",
        "metadata:",
        f"  name: {to_yaml(name)}",
        "spec:",
        "  scaleTargetRef:",
        f"    name: {to_yaml(name)}",
        *_counts("  ", "minReplicaCount", "maxReplicaCount", (least, most)),
        f"  pollingInterval: {HPA_SYNC_S:.0f}",
        "  advanced:",
        "    horizontalPodAutoscalerConfig:",
        *_behavior("      "),
        "  triggers:",
        "    - type: prometheus",
        "      metadata:",
        "        # CHANGE-ME: your Prometheus, and how requests are counted there.",
        "        serverAddress: http://prometheus.monitoring:9090",
        f"        query: {to_yaml(query)}",
        f"        {_why_target(one, policy)}",
        f'        threshold: "{max(0.001, math.floor(1000 * _per_pod_rps(one, policy)) / 1000):g}"',
        *(line for floor in floors for line in _cron(floor)),
    ]


def _cron(floor: Floor) -> Iterator[str]:
    yield f"    # Every one of the trace's {floor.days} days needed so many in these hours."
    yield "    - type: cron"
    yield "      metadata:"
    yield "        timezone: Etc/UTC"
    yield f'        start: "0 {floor.from_hour} * * *"'
    yield f'        end: "0 {floor.to_hour} * * *"'
    yield f'        desiredReplicas: "{floor.machines}"'


def _ray(plan: Plan, policy: PolicyPlanned, place: int, range_: tuple[int, int]) -> list[str]:
    one, target = plan.types[place], policy.settings[TARGET_IN_FLIGHT]
    waits = format_ms(policy.p50_ms)
    return [
        f"  # A replica is a whole {printable(one.name)}: give it that machine's cores.",
        f"  - name: {to_yaml(_name(plan, place))}",
        "    # As many as the engine itself holds; Ray's default of 5 would keep batches small.",
        f"    max_ongoing_requests: {QUEUE_BOUND}",
        "    autoscaling_config:",
        *_counts("      ", "min_replicas", "max_replicas", range_),
        "      # Little's law: requests/s that one is meant to get times their mean latency "
        f"(median {waits} ms).",
        f"      target_ongoing_requests: {to_yaml(float(f'{target:.3g}'))}",
        "      # Ray's defaults, which were played on the trace.",
        f"      look_back_period_s: {RAY_LOOK_BACK_S}",
        f"      upscale_delay_s: {RAY_UPSCALE_S}",
        f"      downscale_delay_s: {RAY_DOWNSCALE_S}",
    ]
