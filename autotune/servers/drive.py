"""Open-loop requests over HTTP: sent when they are due, whatever became of those before.

Every sender keeps one connection and takes the next request of a schedule that was drawn
beforehand. Where all senders wait for answers, requests leave late; latency counts from the
scheduled time, so that they are not forgiven it, and how late they left is on record.
"""

import http.client
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from autotune.errors import ServerError
from autotune.outcome import Flags, Samples
from autotune.servers.v2 import parameters_of

REQUEST_TIMEOUT_S = 30.0
MOST_SENDERS = 128


class Target(NamedTuple):
    """Where requests go, and what they are, ready to be sent; they take turns."""

    url: str
    bodies: Sequence[bytes]


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


def drive(target: Target, scheduled_s: Samples, senders: int) -> Driven:
    """Send a request at each scheduled time, seconds from now, and wait for all answers."""
    count = len(scheduled_s)
    sent_s, finished_s = np.full(count, np.inf), np.full(count, np.inf)
    parameters: list[dict[str, Any]] = [{} for _ in range(count)]
    errors: dict[str, None] = {}
    turns, lock = iter(range(count)), threading.Lock()
    start_s = time.perf_counter()

    def send_all() -> None:
        with Connection(target.url) as connection:
            while True:
                with lock:
                    number = next(turns, None)
                if number is None:
                    return
                due_s = start_s + scheduled_s[number]
                time.sleep(max(0.0, due_s - time.perf_counter()))
                sent_s[number] = time.perf_counter() - start_s
                try:
                    body = connection.ask(target.bodies[number % len(target.bodies)])
                except ServerError as error:
                    errors[str(error)] = None
                    continue
                finished_s[number] = time.perf_counter() - start_s
                parameters[number] = parameters_of(body)

    threads = [threading.Thread(target=send_all) for _ in range(min(senders, count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Driven(scheduled_s, sent_s, finished_s, parameters, list(errors))


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

    def __enter__(self) -> "Connection":
        """Return the connection itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._connection.close()
