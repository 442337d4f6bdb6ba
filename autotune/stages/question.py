"""What a person asks of a search, settled and checked before anything runs."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import structs

from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.patterns import Pattern, Poisson
from autotune.spec import ON_GPU, Allowed, ModelSpec, Objective, Record, ServingConfig, Slo
from autotune.strategy.plugins import BUILT_IN
from autotune.target_info import describe_target

DEFAULT_BUDGET_S = 80.0
LARGEST_DEFAULT_BUDGET_S = 300.0
QUICK_MODEL_S = 0.020
"""Models slower than this need proportionally longer, so the default budget grows with them."""


class Keeping(Record, frozen=True):
    """Where measurements are kept, and who else may measure meanwhile."""

    store: Path | None = None
    """The store; None: that of this user, and none where it cannot be used."""
    fresh: bool = False
    """Measure anew what is kept already."""
    allow_shared: bool = False
    """Measure while another autotune on this machine does."""


class Learning(Record, frozen=True):
    """What a search learns from, beside its own measurements."""

    sources: tuple[Path, ...] = ()
    """Tuned files and stores; the user's own store and what comes with the package teach too."""
    blank: bool = False
    """Learn from `sources` alone."""


class Incumbent(Record, frozen=True):
    """What serves now: up to a load, this."""

    load_rps: float
    config: ServingConfig


class Watts(Record, frozen=True):
    """What the machine draws, as far as a person says so; None: it is read, or reckoned."""

    idle: float | None = None
    """While nothing is served."""
    core: float | None = None
    """That a core adds while it works."""


class Target(Record, frozen=True):
    """The server to search through."""

    server: str
    """As named for `export`; `server`: any that COMMAND reconfigures."""
    python: str
    """The interpreter of the environment in which it is installed."""
    version: str | None = None
    """Of the server's package; None: it is not started here."""
    url: str | None = None
    """Where requests are posted to one that runs already; None: it is started here."""
    apply: tuple[str, ...] = ()
    """The command that gives the one at `url` another configuration."""

    def describe(self) -> str:
        """The server in words."""
        return describe_target(self.server, self.version, self.url)


class Question(Record, frozen=True, eq=False):
    """One search request."""

    model: ModelSpec
    name: str
    """The model as the person named it."""
    slo: Slo
    traffics: list[Traffic] | None
    """Loads to answer for; None: those that matter, found from the profile."""
    budget_s: float | None
    """Seconds for the whole search; None: enough for the model's speed."""
    max_trials: int | None
    """Most measurements before the confirmation; None: no limit but time."""
    seed: int
    output: Path | None
    """File to write; None: nothing is written."""
    pattern: Pattern = Poisson()
    """How requests arrive at loads that are found from the profile."""
    objective: Objective = "latency"
    max_risk: float | None = None
    """Try only what is predicted to miss the SLO with less than this chance; None: anything."""
    strategy: str = BUILT_IN
    """The search that says what is measured next, by name."""
    allowed: Allowed = Allowed()
    """What may be tried of what the runtime has to offer."""
    keeping: Keeping = Keeping()
    learning: Learning = Learning()
    incumbent: tuple[Incumbent, ...] = ()
    """Measured first at each load, ascending; empty: nothing serves yet."""
    watts: Watts = Watts()
    target: Target | None = None
    """The server to measure through; None: the engine itself."""
    engine: TunedFile | None = None
    """What the engine's own search found, from which one through a server starts."""

    @property
    def of_engine(self) -> "Question":
        """The same, asked of the engine itself."""
        return structs.replace(self, target=None, engine=None, output=None)

    @property
    def on_gpu(self) -> bool:
        """Whether GPUs take part."""
        return self.allowed.device in ON_GPU


class MeasureQuestion(Record, frozen=True, eq=False):
    """One request to measure a configuration, or two against each other."""

    model: ModelSpec
    name: str
    """The model as the person named it."""
    slo: Slo
    traffic: Traffic
    config: ServingConfig
    other: ServingConfig | None
    """What to compare it with; None: nothing."""
    confidence: float
    """Of PASS and FAIL."""
    duration_s: float
    """Most seconds of measuring."""
    seed: int
    keeping: Keeping = Keeping()

    @property
    def configs(self) -> list[ServingConfig]:
        """The configurations to measure."""
        return [self.config] if self.other is None else [self.config, self.other]


def allowed_by(configs: Sequence[ServingConfig]) -> Allowed:
    """Return what must be allowed for these configurations to be measured."""
    return Allowed(
        device=configs[0].default.provider,
        forms=[form for form in dict.fromkeys(one.form for one in configs) if form != "as_given"],
        providers=list(dict.fromkeys(one.provider for one in configs)),
    )


class Deadline:
    """Time left of a budget."""

    def __init__(self, budget_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        """Start at what the clock `now_s` shows."""
        self._now_s = now_s
        self._started_s = now_s()
        self.budget_s = budget_s
        self._left_out: Callable[[], float] = lambda: 0.0

    def extend(self, budget_s: float) -> None:
        """Set another budget, counted from the same start."""
        self.budget_s = budget_s

    def leave_out(self, seconds: Callable[[], float]) -> None:
        """Do not count the seconds that `seconds` returns, up to once the budget."""
        self._left_out = seconds

    @property
    def left_out_s(self) -> float:
        """Seconds that have passed and do not count."""
        return min(self._left_out(), self.budget_s)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._now_s() - self._started_s

    @property
    def spent_s(self) -> float:
        """Likewise, of those that count."""
        return self.elapsed_s - self.left_out_s

    @property
    def left_s(self) -> float:
        """Seconds to the deadline, never below zero."""
        return max(0.0, self.budget_s - self.spent_s)


def default_budget_s(base_s: float) -> float:
    """Return the budget for a model whose single run on one thread takes `base_s`."""
    grown = DEFAULT_BUDGET_S * max(1.0, base_s / QUICK_MODEL_S)
    return min(grown, LARGEST_DEFAULT_BUDGET_S)
