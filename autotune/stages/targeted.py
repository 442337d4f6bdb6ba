"""A search through a server: what of the space the server can express, and how far it is off.

The engine's own answer is what such a search starts from. What the file says of the server is the
latency of one configuration in both, and of what won through the server.
"""

from collections.abc import Mapping, Sequence

from msgspec import structs

from autotune.config_file import PolicyEntry, Trial, TunedFile
from autotune.errors import UsageError
from autotune.exports.applied import APPLIED
from autotune.exports.deployment import Exporter, inexpressible
from autotune.exports.exporters import EXPORTERS
from autotune.records import Finalist, Percentile
from autotune.space.lattice import BATCH_AXES, Lattice, placed
from autotune.spec import RUNTIME_DEFAULT, ServingConfig
from autotune.stages.context import Context
from autotune.stages.question import Target
from autotune.stats.summary import summarize
from autotune.target_info import ANY_SERVER, TargetInfo, TargetLoad
from autotune.units import format_rps

LIKE_THE_ENGINE = 1.05
"""Latencies within this factor of each other are called alike."""


def exporter_of(target: Target) -> Exporter:
    """Return how the server is told of a configuration."""
    return APPLIED if target.server == ANY_SERVER else EXPORTERS[target.server]


def expressible(lattice: Lattice, target: Target, torch: bool, default_threads: int) -> Lattice:
    """Return the lattice without what the server cannot express: it would be something else.

    Args:
        lattice: what there is.
        target: the server.
        torch: whether the model is torch's.
        default_threads: intra-op threads that the runtime chooses by itself.

    Raises:
        UsageError: the server cannot run the model, not even with the runtime's defaults.
    """
    one = exporter_of(target)
    reasons = {config: _reason(one, config, torch) for config in lattice.configs}
    default = lattice.configs[0]
    if (why := reasons[default]) is not None:
        raise UsageError(f"--target {target.server} cannot run {default.describe()}: {why}")
    kept = [config for config, reason in reasons.items() if reason is None]
    there = {config: _at_home(one, config) for config in kept}  # twins are one and the same there
    kept = [config for config in kept if there[config] == config or there[config] not in there]
    places, names = placed(kept, default_threads)
    return Lattice(
        configs=tuple(kept),
        coordinates=places,
        excluded=lattice.excluded + _examples(reasons),
        session_axes=len(names) - BATCH_AXES,
    )


def nearest(config: ServingConfig, lattice: Lattice, target: Target, torch: bool) -> ServingConfig:
    """Return a configuration as the server can express it: what it ignores is the runtime's own."""
    ignored = inexpressible(exporter_of(target), config, torch)
    defaults = {knob: getattr(RUNTIME_DEFAULT, knob) for knob in ignored}
    there = structs.replace(config, **defaults)
    either = (there, _at_home(exporter_of(target), there))
    return next((one for one in either if one in lattice.configs), lattice.configs[0])


def target_info(
    context: Context, lattice: Lattice, entries: Sequence[PolicyEntry], torch: bool
) -> TargetInfo | None:
    """Return what the file says of the server; None: the search was the engine's own."""
    target, engine = context.question.target, context.question.engine
    if target is None or engine is None:
        return None
    carried = exporter_of(target).carried
    almost = [f"{knob}: {one.by}" for knob, one in carried.items() if one.how in ("almost", "no")]
    return TargetInfo(
        server=target.server,
        version=target.version,
        url=target.url,
        not_carried=almost,
        loads=[
            _load(context, entry, nearest(before.config, lattice, target, torch), before)
            for entry, before in zip(entries, engine.policy, strict=True)
        ],
    )


def target_sentence(info: TargetInfo, entries: Sequence[PolicyEntry], percentile: float) -> str:
    """Say how far the engine's answer was from the server's."""
    name = info.server if info.server != ANY_SERVER else "The server"
    ratios = [(one.load_rps, one.ratio) for one in info.loads if one.ratio is not None]
    if not ratios:
        return f"Measured through {info.describe()}; how far the engine is off is not known."
    told = ", ".join(f"{ratio:.2g} x ({format_rps(rps)}/s)" for rps, ratio in ratios)
    kept = sum(one.config == e.config for one, e in zip(info.loads, entries, strict=True))
    chose = f"what the engine chose was kept at {kept} of {len(info.loads)} loads"
    if all(1 / LIKE_THE_ENGINE <= ratio <= LIKE_THE_ENGINE for _, ratio in ratios):
        return f"{name} answers as fast as the engine with the same configuration; {chose}."
    same = f"the engine's p{percentile:g} with the same configuration"
    return f"{name} answers in {told} {same}; {chose}."


def _at_home(one: Exporter, config: ServingConfig) -> ServingConfig:
    """Return the configuration with its replicas where the server has them."""
    return structs.replace(config, replicas_as=one.replicas_as or config.replicas_as)


def _reason(one: Exporter, config: ServingConfig, torch: bool) -> str | None:
    """Say why a server cannot express a configuration; None: it can."""
    if torch and not one.torch:
        return f"{one.title} cannot run a torch model"
    if config.provider not in one.providers:
        return f"{one.title} cannot run it with {config.provider}"
    ignored = inexpressible(one, config, torch)
    return f"{one.title}: {ignored[0]}: {one.carried[ignored[0]].by}" if ignored else None


def _examples(reasons: Mapping[ServingConfig, str | None]) -> tuple[tuple[ServingConfig, str], ...]:
    """Return a configuration for each reason, with how many more there are."""
    by_reason: dict[str, list[ServingConfig]] = {}
    for config, reason in reasons.items():
        if reason is not None:
            by_reason.setdefault(reason, []).append(config)
    return tuple(
        (out[0], reason + (f" (and {len(out) - 1} more)" if len(out) > 1 else ""))
        for reason, out in by_reason.items()
    )


def _load(
    context: Context, entry: PolicyEntry, config: ServingConfig, before: PolicyEntry
) -> TargetLoad:
    engine = context.question.engine
    assert engine is not None
    return TargetLoad(
        load_rps=entry.load_rps,
        config=config,
        engine=_in_engine(engine, before, config),
        server=_through(context, entry, config),
        best=None if entry.measured is None else entry.measured.objective,
    )


def _in_engine(engine: TunedFile, before: PolicyEntry, config: ServingConfig) -> Percentile | None:
    """The longest measurement there is: of the confirmation, or else of the search."""
    if config == before.config and before.measured is not None:
        return before.measured.objective
    known: list[Finalist | Trial] = [*engine.finalists, *reversed(engine.trials)]
    for one in known:
        if (one.load_rps, one.config) == (before.load_rps, config) and one.measured is not None:
            return one.measured.objective
    return None


def _through(context: Context, entry: PolicyEntry, config: ServingConfig) -> Percentile | None:
    if config == entry.config:
        return None if entry.measured is None else entry.measured.objective
    journal = context.journal
    runs = journal.runs_at(entry.load_rps, config)
    return summarize(runs, context.question.slo).objective if runs else None
