"""Open-loop requests over HTTP: sent when they are due, whatever became of those before.

Every sender keeps one connection and takes the next request of a schedule that was drawn
beforehand. Where all senders wait for answers, requests leave late; latency counts from the
scheduled time, so that they are not forgiven it, and how late they left is on record.
"""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from autotune.errors import ServerError
from autotune.outcome import Flags, Samples
from autotune.request_log import RequestLog, new_log
from autotune.servers.v2 import parameters_of

REQUEST_TIMEOUT_S = 30.0
LOOK_S = 0.25
"""How often whoever waits for a request to be due looks whether it still is to be sent."""
LEAST_SENDERS, MOST_SENDERS = 8, 128


class Target(NamedTuple):
    """Where requests go, and what they are, ready to be sent; they take turns."""

    url: str
    bodies: Sequence[bytes]


class Watched(NamedTuple):
    """A run that somebody looks at while it goes on."""

    log: RequestLog
    """Where requests are noted as they are sent (`claimed_s`, `ready_s` and `started_s`, as of a
    replica that takes whatever is sent) and answered; it says until when they are sent."""
    look: Callable[[], float | None]
    """Returns the seconds to the next look; None: whoever has no answer yet gets none."""


class Driven(NamedTuple):
    """What came back. Arrays run over the offered requests, in order."""

    scheduled_s: Samples
    sent_s: Samples
    finished_s: Samples
    """Infinite where no answer came, or one that was no 200."""
    parameters: list[dict[str, Any]]
    """Of each answer; empty where it had none."""
    errors: list[str]
    """What the unanswered came to, a line each, without repeats."""

    @property
    def latency_s(self) -> Samples:
        """Seconds from the scheduled time to the answer."""
        return self.finished_s - self.scheduled_s

    @property
    def unqueued(self) -> Flags:
        """Which requests were sent when none was under way."""
        ends_s = np.maximum.accumulate(np.nan_to_num(self.finished_s, posinf=0.0))
        before_s = np.concatenate([[0.0], ends_s[:-1]])
        return np.asarray(before_s <= self.scheduled_s)


def drive(
    target: Target, scheduled_s: Samples, senders: int, watched: Watched | None = None
) -> Driven:
    """Send a request at each scheduled time, seconds from now, and wait for all answers.

    Somebody who watches may end it before.
    """
    count = len(scheduled_s)
    log = new_log(count) if watched is None else watched.log
    parameters: list[dict[str, Any]] = [{} for _ in range(count)]
    errors: dict[str, None] = {}
    turns, lock, under_way = iter(range(count)), threading.Lock(), set[int]()
    connections = [Connection(target.url) for _ in range(min(senders, count))]
    log.start_clock()

    def send_all(connection: Connection) -> None:
        while True:
            with lock:
                number = next(turns, None)
            if number is None or not _wait_for(log, scheduled_s[number]):
                return
            sent_s = log.elapsed_s
            with lock:
                log.ready_s[number] = np.inf if under_way else scheduled_s[number]
                under_way.add(number)
            log.claimed_s[number] = log.started_s[number] = sent_s
            try:
                body = connection.ask(target.bodies[number % len(target.bodies)])
                log.finished_s[number] = log.elapsed_s
                parameters[number] = parameters_of(body)
            except ServerError as error:
                errors[str(error)] = None
            with lock:
                under_way.remove(number)

    threads = [threading.Thread(target=send_all, args=(one,)) for one in connections]
    for thread in threads:
        thread.start()
    try:
        _watch(threads, (lambda: REQUEST_TIMEOUT_S) if watched is None else watched.look)
    finally:
        log.stop(-np.inf)
        for one in connections:
            one.abort()
        for thread in threads:
            thread.join()
    sent_s, finished_s = (
        np.nan_to_num(times, nan=np.inf) for times in (log.claimed_s, log.finished_s)
    )
    return Driven(scheduled_s, sent_s, finished_s, parameters, list(errors))


def _wait_for(log: RequestLog, due_s: float) -> bool:
    """Sleep until a request is due; False: it is not to be sent any more."""
    while (left_s := due_s - log.elapsed_s) > 0 and due_s <= log.stop_after_s:
        time.sleep(min(left_s, LOOK_S))
    return bool(due_s <= log.stop_after_s)


def _watch(threads: Sequence[threading.Thread], look: Callable[[], float | None]) -> None:
    """Look now and then until all threads have ended, or a look says that it is enough."""
    while (wait_s := look()) is not None:
        deadline_s = time.monotonic() + wait_s
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        if not any(thread.is_alive() for thread in threads):
            return


def told(parameters: Sequence[dict[str, Any]], key: str) -> Samples:
    """Return a number that answers tell of themselves; NaN where they do not."""
    return np.array([float(one.get(key, np.nan)) for one in parameters], dtype=np.float64)


class Connection:
    """One kept-alive connection to a server. Use as a context."""

    def __init__(self, url: str) -> None:
        """Speak to this address; the connection is made with the first request."""
        parts = urlsplit(url)
        self._path = parts.path or "/"
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.netloc, timeout=REQUEST_TIMEOUT_S)

    def ask(self, body: bytes) -> bytes:
        """Send a request and return the answer.

        Raises:
            ServerError: there is none, or its status is not 200.
        """
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ServerError(f"no answer: {error!r}") from None
        if answer.status != 200:
            words = " ".join(text[:300].decode(errors="replace").split())
            raise ServerError(f"the server answered {answer.status}: {words}")
        return text

    def abort(self) -> None:
        """Close it, even while another thread waits for an answer, which then gets none."""
        with contextlib.suppress(OSError, AttributeError):  # there is no socket, or no more
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def __enter__(self) -> "Connection":
        """Return the connection itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._connection.close()
