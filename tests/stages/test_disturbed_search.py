"""A search on a machine that is not quiet: what is repeated, marked, and not repeated for ever."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from made import run_of, times_of
from scripted import ScriptedBench, disturbed_by

from autotune import config_file
from autotune.arrivals import Traffic
from autotune.cli.page import print_answer
from autotune.config_file import TunedFile
from autotune.outcome import Measured, ModelInfo, ServiceTimes, TrialOutcome
from autotune.records import Failed
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, SessionShape, Slo
from autotune.stages.answer import Ended, answer
from autotune.stages.confirm import confirm
from autotune.stages.context import Context
from autotune.stages.drive import NEVER_QUIET, Window, run_trial
from autotune.stages.explore import explore
from autotune.stages.goal import start
from autotune.stages.journal import Journal
from autotune.stages.question import Deadline, Question
from autotune.stages.survey import survey
from autotune.stats.judge import Judge
from autotune.trial.wire import ClosedLoop

SLO = Slo(latency_ms=50)
TRAFFIC = Traffic(load_rps=100)
STOLEN, CALM = disturbed_by(0.2), disturbed_by(0.0)
GOLDEN = Path(__file__).parents[1] / "golden" / "v3.autotune.json"


def window_of(bench: ScriptedBench, repeats: int) -> TrialOutcome:
    judge = Judge(SLO, TRAFFIC.mean_rps)
    return run_trial(bench, RUNTIME_DEFAULT, TRAFFIC, Window(2.0, (1,)), judge, repeats)[0]


def by_number(
    *outcomes: Callable[[Measured], TrialOutcome],
) -> Callable[[int, Measured], TrialOutcome]:
    return lambda number, run: outcomes[number](run)


def test_a_disturbed_window_is_measured_once_more_under_the_same_arrivals(info: ModelInfo) -> None:
    bench = ScriptedBench(info, change=by_number(STOLEN, CALM))
    outcome = window_of(bench, repeats=1)
    assert isinstance(outcome, Measured)
    assert outcome.disturbed == []
    first, second = bench.trials
    assert first == second


def test_of_two_disturbed_windows_the_lesser_evil_is_kept_and_stays_marked(info: ModelInfo) -> None:
    bench = ScriptedBench(info, change=by_number(disturbed_by(0.1), STOLEN))
    outcome = window_of(bench, repeats=1)
    assert isinstance(outcome, Measured)
    assert outcome.disturbed == ["10% stolen"]
    assert len(bench.trials) == 2


def test_what_the_latencies_were_has_no_say_in_which_window_counts(info: ModelInfo) -> None:
    def slower(run: Measured) -> Measured:
        return CALM(msgspec.structs.replace(run, finished_s=run.finished_s + 1.0))

    outcome = window_of(ScriptedBench(info, change=by_number(STOLEN, slower)), repeats=1)
    assert isinstance(outcome, Measured)
    assert outcome.latency_s.min() > 1.0


def test_a_quiet_window_or_a_machine_given_up_on_is_not_repeated(info: ModelInfo) -> None:
    for change, repeats in ((CALM, 1), (STOLEN, 0)):
        bench = ScriptedBench(info, change=by_number(change))
        window_of(bench, repeats)
        assert len(bench.trials) == 1


def test_a_configuration_that_fails_in_its_repeat_has_failed(info: ModelInfo) -> None:
    failed = Failed(kind="crash", detail="why")
    bench = ScriptedBench(info, change=by_number(STOLEN, lambda run: failed))
    assert window_of(bench, repeats=1) == failed


def journal_of(*outcomes: TrialOutcome) -> Journal:
    journal = Journal(SLO, Deadline(60.0))
    for outcome in outcomes:
        journal.add("search", TRAFFIC, RUNTIME_DEFAULT, 10.0, (outcome, 1.0))
    return journal


def test_repeats_end_when_nothing_was_quiet_lately_and_come_back_with_quiet() -> None:
    bad, good = STOLEN(run_of([0.01] * 9)), run_of([0.01] * 9)
    failed = Failed(kind="crash", detail="why")
    never = [bad] * NEVER_QUIET
    assert journal_of().repeats() == 1
    assert journal_of(*never[1:]).repeats() == 1
    assert journal_of(*never).repeats() == 0
    assert journal_of(good, *never).repeats() == 0
    assert journal_of(*never, good).repeats() == 1
    # A failure says nothing about the machine.
    assert journal_of(*never[1:], failed).repeats() == 1
    assert journal_of(*never, failed).repeats() == 0


class QueueBench(ScriptedBench):
    """Profiles too, so that a whole search runs over it; two replicas are faster."""

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        return times_of(np.full(20, 0.01), 0.01)


def searched(bench: QueueBench) -> TunedFile:
    question = Question(
        model=bench.model,
        name="scripted",
        slo=SLO,
        traffics=[TRAFFIC],
        budget_s=60.0,
        max_trials=6,
        seed=0,
        output=Path("unused"),
    )
    context = Context(
        question, bench, Journal(SLO, Deadline(60.0)), Deadline(60.0), lambda event: None
    )
    ground = survey(context)
    strategy = start(question, ground)
    stopped = explore(context, ground, strategy)
    confirm(context, ground, strategy)
    return answer(context, ground, strategy, Ended(stopped, "now", "0" * 64))


def latency_ms(config: ServingConfig) -> float:
    return 20.0 / config.replicas


def test_a_search_on_a_machine_that_is_never_quiet_repeats_little_and_marks_everything(
    info: ModelInfo, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = QueueBench(info, latency_ms, change=lambda number, run: STOLEN(run))
    tuned = searched(bench)
    assert len(bench.trials) == len(tuned.trials) + NEVER_QUIET
    assert all(trial.measured and trial.measured.disturbed for trial in tuned.trials)
    print_answer(tuned)
    text = capsys.readouterr().out
    assert " *" in text
    assert "*: disturbed: 20% stolen" in " ".join(text.split())


def test_a_search_in_quiet_repeats_nothing_and_marks_nothing(
    info: ModelInfo, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = QueueBench(info, latency_ms)
    tuned = searched(bench)
    assert len(bench.trials) == len(tuned.trials)
    print_answer(tuned)
    assert "*" not in capsys.readouterr().out


@pytest.mark.parametrize("side", ["measured", "default"])
def test_the_table_marks_the_disturbed_row_and_no_other_and_says_why(
    side: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    tuned = config_file.read(GOLDEN)
    print_answer(tuned)
    assert "*" not in capsys.readouterr().out
    index = next(
        i for i, one in enumerate(tuned.policy) if one.default and one.config != RUNTIME_DEFAULT
    )
    entry = tuned.policy[index]
    spoilt = msgspec.structs.replace(getattr(entry, side), disturbed=["9.0 % stolen"])
    policy = [*tuned.policy]
    policy[index] = msgspec.structs.replace(entry, **{side: spoilt})
    print_answer(msgspec.structs.replace(tuned, policy=policy))
    lines = capsys.readouterr().out.splitlines()
    (marked,) = [line for line in lines if line.rstrip().endswith(" *")]
    assert ("runtime default" in marked) is (side == "default")
    assert "*: disturbed: 9.0 % stolen" in " ".join(" ".join(lines).split())
