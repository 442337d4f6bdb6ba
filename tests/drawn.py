"""A tuned file with everything that a report draws, small and made up."""

from msgspec.structs import replace
from promised import TUNED

from autotune.records import Curve, Finalist, LatticeMap
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

NASTY = "<script>alert('x')</script> | `a` *b* \"c\" & </script>"
TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
BATCHED = replace(TWO, max_batch_size=4, batch_timeout_ms=2.5)
LATTICE = [RUNTIME_DEFAULT, TWO, BATCHED]
MEASURED = next(entry.measured for entry in TUNED.policy if entry.measured)


def _finalist(load_rps: float, config: ServingConfig, slower: float) -> Finalist:
    return Finalist(
        load_rps=load_rps,
        config=config,
        measured=MEASURED,
        shares=[0.0, 0.5, 0.9, 0.99, 1.0],
        latency_ms=[slower * ms for ms in (1.0, 2.0, 4.0, 9.0, 12.0)],
    )


DRAWN = replace(
    TUNED,
    finalists=[
        _finalist(entry.load_rps, config, slower)
        for entry in TUNED.policy
        for config, slower in ((RUNTIME_DEFAULT, 1.5), (TWO, 1.0))
    ],
    curves=[
        Curve(config=config, loads_rps=[50.0, 100.0], p50_ms=[2.0, 3.0], objective_ms=[4.0, 9.0])
        for config in (TWO, RUNTIME_DEFAULT)
    ],
    lattice=LatticeMap(
        **{name: [getattr(c, name) for c in LATTICE] for name in ServingConfig.__struct_fields__},
        predicted_ms=[[9.0, 6.0, 7.0] for _ in TUNED.policy],
        region_of=[[0, 1, -1] for _ in TUNED.policy],
        points_left_out=7,
    ),
    trials=[replace(trial, at_s=float(place)) for place, trial in enumerate(TUNED.trials)],
    repeat=["magika:", "--slo", "50.0ms", "--arrivals", "poisson", "--seed", "0"],
)
NASTY_DRAWN = replace(
    DRAWN,
    summary=NASTY,
    model=replace(DRAWN.model, name=NASTY, batch_reason=NASTY, request_source=NASTY),
    machine=replace(DRAWN.machine, cpu=NASTY),
    repeat=[NASTY, "--slo", "50ms"],
)
