"""READ FIRST: a real server with an export, on one screen.

start    write the export into a folder of its own, start the server there, wait until it answers
compare  its answers with those of ONNX Runtime's default
alone    one request at a time: what the server adds to an execution
burst    more at once than all batches hold: which knobs took effect
loads    open-loop arrivals at the loads of the file: what was promised, what is seen
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autotune.arrivals import Traffic, draw
from autotune.config_file import PolicyEntry
from autotune.errors import ServerError
from autotune.exports.deployment import Deployment
from autotune.exports.exporters import exporter
from autotune.patterns import Pattern
from autotune.probes.threads import thread_count
from autotune.servers.drive import LEAST_SENDERS, MOST_SENDERS, Connection, Target, drive
from autotune.servers.exported import exported
from autotune.servers.run import SENDERS_PER_SLO
from autotune.servers.running import version_of
from autotune.servers.samples import Samples, how_answers_differ
from autotune.servers.seen import Compared, LoadSeen, Verified, look_at_knobs, look_at_load
from autotune.servers.starter import Speaks
from autotune.servers.starters import STARTERS
from autotune.servers.v2 import decode_answer, encode_request
from autotune.spec import ServingConfig
from autotune.stages.events import Observer, Started

ALONE_REQUESTS = 60
BURST_ROUNDS = 5
WARM_SHARE = 0.1
"""Of each load's time, driven beforehand and not counted."""


class VerifyQuestion(NamedTuple):
    """One configuration to verify on one server."""

    server: str
    deployment: Deployment
    entries: Sequence[PolicyEntry]
    """The loads to drive: those for which the file chose this configuration."""
    pattern: Pattern
    duration_s: float
    """Of each load."""
    seed: int


class _Looks(NamedTuple):
    """What was seen from outside."""

    answers: Compared
    difference: str | None
    overhead_ms: float | None
    burst: list[dict[str, Any]]
    """The parameters of each answer."""
    loads: list[LoadSeen]
    counted: tuple[int, int] | None
    """Processes and threads of the server after all this; None where it runs elsewhere."""


def verify_here(
    question: VerifyQuestion,
    samples: Samples,
    python: Path,
    port: int | None,
    observe: Observer = lambda event: None,
) -> Verified:
    """Start the server with the export, drive it, and say what was seen.

    Args:
        question: what to verify.
        samples: the model's requests and expected answers.
        python: the interpreter of the environment in which the server is installed.
        port: where it shall listen; None: on any port that is free.
        observe: is told of each step.

    Raises:
        ServerError: the server does not start or does not answer.
    """
    deployment, starter = question.deployment, STARTERS[question.server]
    observe(Started(step=f"starting {question.server}: {deployment.config.describe()}"))
    with exported(question.server, deployment, python, port) as (server, url):
        target = make_target(url, samples, starter.speaks)
        try:
            looks = _look(question, samples, target, observe)
        except ServerError as error:
            raise ServerError(f"{error}; its last lines: {server.last_lines()}") from None
        pids = server.pids()
        looks = looks._replace(counted=(len(pids), sum(map(thread_count, pids))))
        ready_after_s = server.ready_after_s
    return _verified(
        question, samples, looks, version_of(python, starter.packages[0]), ready_after_s
    )


def verify_url(
    question: VerifyQuestion,
    samples: Samples,
    url: str,
    observe: Observer = lambda event: None,
) -> Verified:
    """Drive a server that runs already, at the address to which requests are posted.

    Raises:
        ServerError: it does not answer.
    """
    speaks = STARTERS[question.server].speaks if question.server in STARTERS else "v2"
    looks = _look(question, samples, make_target(url, samples, speaks), observe)
    return _verified(question, samples, looks, None, None)


def make_target(url: str, samples: Samples, speaks: Speaks) -> Target:
    """Return the address with the requests ready to be sent."""
    requests = [encode_request(arrays) for arrays in samples.requests]
    return Target(
        url,
        [json.dumps([one] if speaks == "v2 in a list" else one).encode() for one in requests],
    )


def _look(question: VerifyQuestion, samples: Samples, target: Target, observe: Observer) -> _Looks:
    observe(Started(step="comparing answers"))
    with Connection(target.url) as connection:
        bodies = [connection.ask(body) for body in target.bodies]
        difference = how_answers_differ([decode_answer(body) for body in bodies], samples)
    compared: Compared = "equal" if samples.expected else "not compared"
    if difference is not None:
        compared = "different"
    observe(Started(step="one request at a time"))
    overhead_ms = _alone(target)
    observe(Started(step="a burst"))
    burst = take_burst(target, question.deployment.config, BURST_ROUNDS)
    loads = []
    for entry in question.entries:
        observe(Started(step=f"{entry.load_rps:g} requests/s for {question.duration_s:g} s"))
        loads.append(_load(question, target, entry))
    return _Looks(compared, difference, overhead_ms, burst, loads, None)


def _alone(target: Target) -> float | None:
    """Return the median of latency less execution, with one request at a time."""
    at_once = np.zeros(ALONE_REQUESTS)
    driven = drive(target, at_once, senders=1)
    times = [
        1e3 * (finished_s - sent_s) - seen["inference_ms"]
        for sent_s, finished_s, seen in zip(
            driven.sent_s, driven.finished_s, driven.parameters, strict=True
        )
        if "inference_ms" in seen
    ]
    return float(np.median(times)) if times else None


def take_burst(target: Target, config: ServingConfig, rounds: int) -> list[dict[str, Any]]:
    """Send more requests at once than all replicas' batches hold, and return what answers say.

    Raises:
        ServerError: a request was not answered.
    """
    senders = min(MOST_SENDERS, max(LEAST_SENDERS, 3 * config.replicas * config.max_batch_size))
    driven = drive(target, np.zeros(rounds * senders), senders)
    if driven.errors:
        raise ServerError(driven.errors[0])
    return driven.parameters


def _load(question: VerifyQuestion, target: Target, entry: PolicyEntry) -> LoadSeen:
    """Drive one load; requests that stay unanswered are counted, and are no error."""
    traffic = Traffic(load_rps=entry.load_rps, pattern=question.pattern)
    slo = question.deployment.slo
    wanted = SENDERS_PER_SLO * entry.load_rps * slo.latency_ms / 1e3
    senders = min(MOST_SENDERS, max(LEAST_SENDERS, round(wanted)))
    seed = (question.seed, 6)
    drive(target, draw(traffic, WARM_SHARE * question.duration_s, (*seed, 0)), senders)
    driven = drive(target, draw(traffic, question.duration_s, (*seed, 1)), senders)
    same = entry.config == question.deployment.config
    return look_at_load(driven, entry.load_rps, slo, entry.measured if same else None)


def _verified(
    question: VerifyQuestion,
    samples: Samples,
    looks: _Looks,
    version: str | None,
    ready_after_s: float | None,
) -> Verified:
    known = question.server in STARTERS
    return Verified(
        server=question.server,
        version=version,
        config=question.deployment.config,
        ready_after_s=ready_after_s,
        processes=looks.counted[0] if looks.counted else None,
        threads=looks.counted[1] if looks.counted else None,
        overhead_ms=looks.overhead_ms,
        answers=looks.answers,
        difference=looks.difference,
        knobs=look_at_knobs(
            exporter(question.server),
            question.deployment.config,
            looks.burst,
            samples.info.default_threads,
            STARTERS[question.server].sees_processes if known else True,
        ),
        loads=looks.loads,
        slo=question.deployment.slo,
    )
