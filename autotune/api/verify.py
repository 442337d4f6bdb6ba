"""`autotune.verify`: arguments -> PolicyQuestion -> a server driven -> VerifyResult."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from autotune.api import asked
from autotune.api.asked import Input, PathLike, Progress, Shapes, Trace
from autotune.api.dry_run import stop_if_dry
from autotune.api.result import Result
from autotune.embed import Tuned
from autotune.errors import ModelError, UsageError
from autotune.present.document import Document
from autotune.present.in_python import speaks_python
from autotune.promise import entry_at, loading_of
from autotune.servers.plan import plan_verify
from autotune.servers.seen import Verified, exit_code
from autotune.servers.verify_policy import PolicyQuestion, find_place, groups_of, verify_policy

if TYPE_CHECKING:
    import pandas as pd


class VerifyResult(Result[list[Verified]]):
    """What was seen of a server, for each configuration, held against the tuned file."""

    @property
    def exit_code(self) -> int:
        """0 as promised; 1 an SLO is missed that was promised; 3 a knob without effect, or other
        answers.
        """
        return exit_code(self.record)

    @property
    def as_promised(self) -> bool:
        """Whether SLOs are kept as promised, every knob that can be seen took effect, and answers
        are the same.
        """
        return self.exit_code == 0

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each configuration and load: what was seen, and what was promised."""
        from autotune.api.frames import verified_frame

        return verified_frame(self.record)

    def __repr__(self) -> str:
        """The answer in one line."""
        loads = [f"{load.load_rps:g}" for one in self.record for load in one.loads]
        word = "as promised" if self.as_promised else "not as promised"
        return (
            f"<autotune.VerifyResult: {self.record[0].server} {word} at {', '.join(loads)} "
            "requests/s>"
        )

    def _page(self, wide: bool) -> Document:
        from autotune.present.verified import verified_page

        return verified_page(self.record)


@speaks_python
def verify(
    file: PathLike | Tuned,
    *,
    server: str,
    model: PathLike | None = None,
    load_rps: float | None = None,
    duration_s: float = 10.0,
    python: PathLike | None = None,
    port: int | None = None,
    url: str | None = None,
    arrivals: str | None = None,
    trace: Trace | None = None,
    shapes: Shapes | None = None,
    input: "Input | None" = None,
    requests: PathLike | None = None,
    seed: int | None = None,
    allow_shared: bool = False,
    progress: "Progress" = False,
) -> VerifyResult:
    """Start a real server with a tuned file, drive it, and compare with what was promised.

        found = autotune.verify("model.autotune.json", server="litserve")
        assert found.as_promised, str(found)

    Each configuration of the file is started in turn and driven open-loop at its loads; the
    servers have ended when it returns.

    Args:
        file: a tuned file, or what `search` or `load` returned.
        server: the server, as named for `export`.
        model: the model, as named for `search`; None: as the file names it.
        load_rps: one load in requests/s; None: all of the file.
        duration_s: seconds of each load.
        python: the interpreter that has the server installed; None: this one.
        port: where the server shall listen; None: on any port that is free.
        url: where requests are posted to a server that runs already, instead of starting one.
        arrivals: how requests arrive, as in `search`; None: as in the file, so the next four.
        trace: recorded arrivals, as in `search`.
        shapes: the shape of one request by input name, as in `search`.
        input: one request, as in `search`.
        requests: several kinds of requests, as in `search`.
        seed: of arrivals and generated inputs; None: the file's.
        allow_shared: measure while another autotune on this machine does, instead of waiting.
        progress: whether to report on standard error, or what to call with each event.

    Returns:
        The result; `as_promised` is the verdict, `record` holds everything.

    Raises:
        ConfigFileError: the file cannot be read.
        UsageError: an argument cannot be used, or it is not the model that was tuned.
        ModelError: the model cannot be run.
        ServerError: the server does not start or does not answer.
        KeyboardInterrupt: interrupted; the server was ended.
    """
    tuned, name = asked.tuned_file(file)
    seconds = asked.seconds(duration_s, "duration_s")
    place = find_place(
        tuned,
        server,
        None if python is None else Path(asked.path(python, "python")),
        None if port is None else asked.whole(port, "port"),
        url,
    )
    groups = groups_of(tuned, url)
    if load_rps is not None:
        asked_rps = asked.load(load_rps, "load_rps")
        groups = [[entry_at(tuned, asked_rps, name, f"load_rps={load_rps!r}")]]
    pattern = asked.pattern(tuned, groups[0][0].load_rps, trace, arrivals)
    where = tuned.model.name if model is None else model
    with ExitStack() as stack:
        try:
            sizes = asked.shapes_or_those_of(tuned, shapes, input, requests)
            settled = tuned.search.seed if seed is None else seed
            how = loading_of(tuned, trust_pickle=False)
            requested = asked.model(where, sizes, input, requests, settled, how)
            spec = stack.enter_context(requested)
        except ModelError as error:
            raise UsageError(f"{error}; say where the model lies with --model") from None
        observe = stack.enter_context(asked.watching(progress))
        shared = asked.whether(allow_shared, "allow_shared")
        question = PolicyQuestion(tuned, spec, groups, pattern, seconds, spec.seed, shared)
        stop_if_dry(lambda: plan_verify(question, place))
        return VerifyResult(verify_policy(question, place, observe))
