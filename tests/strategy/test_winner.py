import numpy as np
import pytest
from made import run_of
from msgspec import structs

from autotune.spec import RUNTIME_DEFAULT, ServingConfig, Slo
from autotune.stats.summary import summarize
from autotune.strategy.winner import Contender, Goal, choose, compare

SLO = Slo(latency_ms=50.0, percentile=90.0)
GOAL = Goal(SLO)
LEAN = ServingConfig(intra_op_threads=1, spinning=False)
WIDE = ServingConfig(replicas=4, intra_op_threads=1, spinning=False)
BATCHED = ServingConfig(intra_op_threads=2, max_batch_size=8)
# Rounds of the same arrivals for all: what they share is shared by every contender.
ROUNDS, REQUESTS = 6, 130
SHARED_MS = [np.random.default_rng(seed).lognormal(3.0, 0.3, REQUESTS) for seed in range(ROUNDS)]


def contender(
    config: ServingConfig,
    factor: float = 1.0,
    cpu: float = 1.0,
    noise_seed: int | None = None,
    lost: int = 0,
    diverged: bool = False,
) -> Contender:
    """The shared latencies times a factor; with a seed, times 10 % noise of its own."""
    runs = []
    for number, shared_ms in enumerate(SHARED_MS):
        latency_ms = factor * shared_ms
        if noise_seed is not None:
            rng = np.random.default_rng((noise_seed, number))
            latency_ms = latency_ms * rng.lognormal(0.0, 0.1, len(latency_ms))
        served_ms = latency_ms[: len(latency_ms) - lost]
        used = (cpu * len(served_ms) / REQUESTS, 1)
        runs.append(run_of(served_ms / 1e3, lost, diverged, used=used))
    return Contender(config, runs, summarize(runs, SLO))


DEFAULT = contender(RUNTIME_DEFAULT)


def winner_of(*contenders: Contender) -> ServingConfig:
    return choose(contenders, GOAL).config


def test_the_default_wins_where_it_is_alone_or_nothing_is_proven() -> None:
    assert winner_of(DEFAULT) == RUNTIME_DEFAULT
    for seed in range(10):
        equal = contender(LEAN, noise_seed=seed)
        assert winner_of(contender(RUNTIME_DEFAULT, noise_seed=100 + seed), equal) == (
            RUNTIME_DEFAULT
        )


def test_a_proven_lower_latency_displaces_the_default() -> None:
    assert winner_of(DEFAULT, contender(WIDE, 0.7, cpu=3.0, noise_seed=1)) == WIDE


def test_a_gain_too_small_to_matter_does_not_however_certain_it_is() -> None:
    assert winner_of(DEFAULT, contender(WIDE, 0.98)) == RUNTIME_DEFAULT
    assert winner_of(DEFAULT, contender(WIDE, 0.96)) == WIDE


def test_a_slower_challenger_never_wins_however_cheap() -> None:
    assert winner_of(DEFAULT, contender(LEAN, 1.2, cpu=0.1, noise_seed=1)) == RUNTIME_DEFAULT
    assert winner_of(DEFAULT, contender(LEAN, 1.02, cpu=0.1)) == RUNTIME_DEFAULT  # proven


def test_of_equals_the_one_that_takes_clearly_less_cpu_time_wins() -> None:
    assert winner_of(DEFAULT, contender(LEAN, cpu=0.5)) == LEAN
    assert winner_of(DEFAULT, contender(LEAN, cpu=0.95)) == RUNTIME_DEFAULT


def test_of_two_equally_fast_challengers_a_slightly_slower_but_cheaper_one_wins() -> None:
    wide = contender(WIDE, 0.6, cpu=2.0, noise_seed=2)
    batched = contender(BATCHED, 0.6, cpu=0.8, noise_seed=1)
    assert compare(batched, wide, GOAL).latency_ratio == pytest.approx(1.01, abs=0.01)
    assert winner_of(DEFAULT, wide, batched) == BATCHED


@pytest.mark.parametrize("lean_first", [True, False])
def test_of_two_equally_fast_and_costly_challengers_the_simpler_wins(lean_first: bool) -> None:
    lean, batched = contender(LEAN, 0.6), contender(BATCHED, 0.6)
    order = (lean, batched) if lean_first else (batched, lean)
    assert winner_of(DEFAULT, *order) == LEAN


def test_of_several_gains_the_largest_wins() -> None:
    others = contender(LEAN, 0.9), contender(WIDE, 0.5), contender(BATCHED, 0.8)
    assert winner_of(DEFAULT, *others) == WIDE


def test_a_queue_without_end_never_wins_over_one_that_holds() -> None:
    fast_but_doomed = contender(WIDE, 0.2, cpu=0.1, lost=90, diverged=True)
    assert winner_of(DEFAULT, fast_but_doomed) == RUNTIME_DEFAULT
    assert winner_of(DEFAULT, fast_but_doomed, contender(LEAN, 0.7)) == LEAN


def test_whatever_holds_displaces_a_default_that_does_not() -> None:
    doomed = contender(RUNTIME_DEFAULT, 0.9, lost=90, diverged=True)
    holds = contender(WIDE, 1.0, cpu=8.0)
    gain = compare(holds, doomed, GOAL)
    assert gain.proven
    assert "without end" in gain.reason
    assert winner_of(doomed, contender(LEAN, 0.1, lost=120, diverged=True), holds) == WIDE


def test_where_nothing_holds_the_default_stays() -> None:
    doomed = contender(RUNTIME_DEFAULT, lost=90, diverged=True)
    assert winner_of(doomed, contender(WIDE, 0.5, lost=60, diverged=True)) == RUNTIME_DEFAULT


def test_lost_requests_make_a_fast_challenger_lose() -> None:
    lossy = contender(WIDE, 0.5, cpu=0.5, lost=30)
    gain = compare(lossy, DEFAULT, GOAL)
    assert not gain.proven
    assert (gain.latency_ratio, gain.low, gain.high) == (None, None, None)
    assert winner_of(DEFAULT, lossy) == RUNTIME_DEFAULT


def test_meeting_the_slo_beats_missing_it_whatever_it_costs() -> None:
    misses, meets = contender(RUNTIME_DEFAULT, 2.5), contender(WIDE, 0.9, cpu=9.0)
    assert (misses.summary.slo_verdict, meets.summary.slo_verdict) == ("missed", "met")
    gain = compare(meets, misses, GOAL)
    assert gain.proven
    assert "SLO" in gain.reason
    assert not compare(misses, meets, GOAL).proven


def test_a_comparison_says_how_much_and_at_which_percentile() -> None:
    gain = compare(contender(LEAN, 0.75, cpu=0.5), DEFAULT, GOAL)
    assert gain.percentile == pytest.approx(90)
    assert (gain.latency_ratio, gain.low, gain.high) == pytest.approx((0.75, 0.75, 0.75))
    assert gain.cpu_ratio == pytest.approx(0.5)
    assert gain.reason == "lower latency"


def test_a_tail_that_the_requests_cannot_show_is_not_compared() -> None:
    strict = Goal(Slo(latency_ms=50, percentile=99.9))
    assert compare(DEFAULT, DEFAULT, strict).percentile == pytest.approx(100 * (1 - 2 / REQUESTS))


@pytest.mark.parametrize("wide_first", [True, False])
def test_of_two_equally_fast_challengers_the_cheaper_wins(wide_first: bool) -> None:
    wide = contender(WIDE, 0.6, cpu=2.0, noise_seed=1)
    batched = contender(BATCHED, 0.6, cpu=0.8, noise_seed=2)
    order = (wide, batched) if wide_first else (batched, wide)
    assert winner_of(DEFAULT, *order) == BATCHED


def test_the_default_is_displaced_only_by_a_gain_proven_against_the_default() -> None:
    fast = contender(WIDE, 0.965, cpu=5.0)
    slower = contender(BATCHED, 0.98, cpu=4.0, noise_seed=6)
    assert not compare(slower, DEFAULT, GOAL).proven
    assert winner_of(DEFAULT, fast, slower) == WIDE


def test_a_default_that_misses_the_slo_gives_way_to_one_that_met_it() -> None:
    slo = Slo(latency_ms=float(np.quantile(np.concatenate(SHARED_MS), 0.9)) + 0.01, percentile=90.0)
    luckier = contender(LEAN, 0.999)
    failing = contender(RUNTIME_DEFAULT, 1.005)
    both = [one._replace(summary=summarize(one.runs, slo)) for one in (failing, luckier)]
    assert [one.summary.meets_slo for one in both] == [False, True]
    assert not compare(both[1], both[0], Goal(slo)).proven
    assert choose(both, Goal(slo)).config == LEAN
    assert choose(both[::-1], Goal(slo)).config == LEAN


def joules_of(cpu_s: float, measured: float | None) -> float:
    """5 J of idle power a request, and 10 J a CPU second."""
    return 5.0 + 10.0 * cpu_s if measured is None else measured


SAVING = Goal(SLO, "energy", joules_of=joules_of)


def test_less_energy_within_the_slo_wins_however_much_slower() -> None:
    # Idle power is most of what a request takes: 1 CPU second of 10 x 1/130 of it is little.
    lean = contender(LEAN, 1.2, cpu=50.0, noise_seed=1)
    default = contender(RUNTIME_DEFAULT, cpu=100.0)
    winner = choose([default, contender(WIDE, 0.5, cpu=200.0), lean], SAVING)
    assert winner.config == LEAN
    gain = compare(lean, default, SAVING)
    ratio = joules_of(50 / REQUESTS, None) / joules_of(100 / REQUESTS, None)
    assert gain.proven
    assert gain.reason == f"{ratio:.2f} x its energy within the SLO"


def test_a_gain_in_energy_that_is_too_small_to_matter_keeps_the_default() -> None:
    default = contender(RUNTIME_DEFAULT, cpu=1.0)
    halved = compare(contender(LEAN, cpu=0.5), default, SAVING)
    assert (halved.proven, halved.reason) == (False, "no proven gain")
    assert choose([default, contender(LEAN, cpu=0.5)], SAVING).config == RUNTIME_DEFAULT


def test_less_energy_is_no_gain_where_the_slo_is_missed() -> None:
    slow = contender(LEAN, 2.5, cpu=1.0)
    default = contender(RUNTIME_DEFAULT, cpu=100.0)
    assert not slow.summary.meets_slo
    assert choose([default, slow], SAVING).config == RUNTIME_DEFAULT
    assert compare(slow, default, SAVING).reason == "misses the SLO, which the other meets"


def test_of_two_that_take_as_much_energy_the_simpler_wins_though_slower() -> None:
    default = contender(RUNTIME_DEFAULT, cpu=200.0)
    wide = contender(WIDE, 0.5, cpu=60.0, noise_seed=1)
    lean = contender(LEAN, 1.1, cpu=61.0, noise_seed=2)
    assert LEAN.complexity < WIDE.complexity
    assert choose([default, wide, lean], SAVING).config == LEAN
    # Slower by as little as that it would tie for, but in energy: not a tie.
    greedy = contender(LEAN, 0.5, cpu=80.0, noise_seed=2)
    assert choose([default, wide, greedy], SAVING).config == WIDE


def test_energy_that_was_read_counts_rather_than_the_model() -> None:
    def metered(config: ServingConfig, cpu: float, joules: float) -> Contender:
        runs = [
            structs.replace(run, joules=joules * REQUESTS)
            for run in contender(config, cpu=cpu).runs
        ]
        return Contender(config, runs, summarize(runs, SLO))

    # The one that takes less CPU time takes more energy.
    default, lean = metered(RUNTIME_DEFAULT, 90.0, 8.0), metered(LEAN, 100.0, 6.0)
    assert choose([default, lean], SAVING).config == LEAN
    assert compare(lean, default, SAVING).reason == "0.75 x its energy within the SLO"
