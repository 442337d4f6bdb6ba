"""`autotune.search`: arguments -> Question -> search, perhaps through a server -> Tuned."""

from collections.abc import Mapping, Sequence

from autotune.api import asked, start
from autotune.api.asked import Input, Loads, PathLike, Progress, Shapes, Trace
from autotune.api.dry_run import stop_if_dry
from autotune.embed import Tuned
from autotune.present.in_python import speaks_python
from autotune.servers import through
from autotune.spec import Objective
from autotune.stages.plan import plan_search
from autotune.stages.question import Question


@speaks_python
def search(
    model: PathLike,
    *,
    slo_ms: float,
    percentile: float = 99.0,
    loads_rps: Loads | None = None,
    arrivals: str | None = None,
    trace: Trace | None = None,
    target: str | None = None,
    python: PathLike | None = None,
    url: str | None = None,
    apply: str | None = None,
    objective: Objective = "latency",
    safe: float | None = None,
    incumbent: PathLike | Tuned | None = None,
    learn_from: PathLike | Sequence[PathLike] = (),
    blank: bool = False,
    idle_watts: float | None = None,
    core_watts: float | None = None,
    strategy: str = "rrl",
    budget_s: float | None = None,
    trials: int | None = None,
    shapes: Shapes | None = None,
    input: "Input | None" = None,
    requests: PathLike | None = None,
    device: str = "cpu",
    providers: Sequence[str] | None = None,
    forms: Sequence[str] = (),
    dtypes: Mapping[str, str] | None = None,
    trust_pickle: bool = False,
    channels_last: bool = True,
    seed: int = 0,
    store: PathLike | None = None,
    fresh: bool = False,
    allow_shared: bool = False,
    output: PathLike | None = None,
    progress: "Progress" = False,
) -> Tuned:
    """Find the best configuration of replicas, threads and batches for each load.

        tuned = autotune.search("model.onnx", slo_ms=50)
        print(tuned)
        tuned.save("model.autotune.json")

    It measures for a minute or more, in processes of its own that are gone when it returns.

    Args:
        model: an ONNX file, a torch file (torch.export, TorchScript or AOTInductor),
            `package:file` inside an installed package (`magika:` is the one model in it), or
            `package.module:function` that builds a torch module.
        slo_ms: the latency objective in milliseconds.
        percentile: the share of requests, in %, that must be within it.
        loads_rps: one load in requests/s, or several; None: those that matter are worked out,
            from nearly idle to just above what the machine can sustain.
        arrivals: how requests arrive: "poisson" (as does None), "constant", "bursty:4" (bursts of
            4 x the load that carry half of all requests) or "gaps:2s" (2 s at the load, 2 s
            silent).
        trace: recorded arrivals instead: seconds, ascending, or a CSV file with them in its first
            column; with loads, scaled to each.
        target: a server to search through, as named for `export`: each configuration is started
            there and driven over the wire; None: the engine itself. There are two searches then,
            with the budget each: the engine's own, and one that starts from its answer.
        python: the interpreter that has the server installed; None: this one.
        url: where requests are posted to a server that runs already on this machine, which `apply`
            reconfigures.
        apply: a command that gives the server at `url` the configuration in its environment,
            `AUTOTUNE_REPLICAS` and so on, and as JSON in the file `AUTOTUNE_CONFIG`.
        objective: what to find: "latency" (lowest at each load), "capacity" (the highest load
            within the SLO), "cpu", "cores" or "energy" (least within the SLO).
        safe: try only what is predicted to miss the SLO with less than this chance, like 0.05.
        incumbent: what serves now: a tuned file, or "default". It is measured first at each load,
            and left only for what is likely to keep the SLO (with `safe`, 0.05 if not given).
        learn_from: tuned files and stores to learn from, beside the searches of this store and
            those that come with autotune.
        blank: learn from `learn_from` alone.
        idle_watts: what the machine draws at rest; None: read where it can be (RAPL, and NVML on a
            GPU), else 0.74 a core.
        core_watts: what a core adds while it works; None: likewise, else 2.76.
        strategy: what says which configuration is measured next: "rrl" (region-based reinforcement
            learning), or the name of one that an installed package brings.
        budget_s: seconds for everything; None: 80, more for slow models, and what it takes to open
            sessions.
        trials: most measurements before the confirmation; None: as many as the time allows.
        shapes: the shape of one request by input name, like `{"images": [1, 3, 320, 320]}`, where
            the model leaves more than the batch open.
        input: one request: an .npz file, or a dict of arrays by input name; None: generated.
        requests: a CSV file of several kinds of requests, with the columns `weight` and `shape`
            or `input`.
        device: where the model runs: "cpu", "cuda", or GPUs like "cuda:0,cuda:1".
        providers: ONNX Runtime's execution providers that may be tried, like `["openvino"]`; None:
            all that are installed.
        forms: how a torch model may be executed beside as it is: "compiled" (torch.compile),
            "exported" (and compiled ahead by AOTInductor), or both.
        dtypes: numpy's name of an input's type, like `{"ids": "int64"}`, where a torch model does
            not say it.
        trust_pickle: load a pickled torch module, which runs code that the file names.
        channels_last: whether a torch model keeps the channels of images last.
        seed: of arrivals and generated inputs.
        store: the file where measurements are kept; None: that of this user. The same search made
            again goes on where it stopped, or is answered at once.
        fresh: start over, whatever the store has of this search.
        allow_shared: measure while another autotune on this machine does, instead of waiting.
        output: the file to write; None: nothing is written, see `Tuned.save`.
        progress: True reports on standard error, a line for each result; a function is called
            with each event (`autotune.stages.events`).

    Returns:
        The result: it prints, shows in a notebook, turns into pandas, and opens as an engine.
        `status` is `"complete"`, `"slo_not_met"` (at a load that was asked for; it says what
        binds) or `"interrupted"`.

    Raises:
        UsageError: an argument cannot be used, or does not fit the model.
        ModelError: there is no such model, or it cannot be run.
        MeasureError: nothing could be measured.
        ServerError: the server does not start with any configuration.
        KeyboardInterrupt: interrupted (Ctrl-C, or a notebook's stop button) before there was any
            answer. A later interrupt ends the search early, and the best so far is returned.
            Python interrupts its main thread alone; in another, `budget_s` ends the search.
    """
    loading = asked.loading(dtypes, trust_pickle, channels_last)
    traffic = start.traffic(loads_rps, trace, arrivals)
    allowed = asked.allowed(device, providers, forms)
    with (
        asked.model(model, shapes, input, requests, seed, loading) as spec,
        asked.watching(progress) as observe,
    ):
        question = Question(
            **start.named(spec, model),
            slo=asked.slo(slo_ms, percentile),
            **traffic,
            **start.aims(objective, strategy, idle_watts, core_watts),
            target=start.target(target, python, (url, apply), spec, allowed),
            **start.beside(incumbent, safe, allowed.device),
            **start.limits(budget_s, trials),
            allowed=allowed,
            **start.memory(asked.keeping(store, fresh, allow_shared), learn_from, blank),
            output=asked.or_none(asked.file, output, "output"),
        )
        stop_if_dry(lambda: plan_search(question, observe))
        return Tuned(through.search(question, observe), path=question.output)
