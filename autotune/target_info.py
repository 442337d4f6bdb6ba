"""The server that a search went through, as it stands in a tuned file."""

from autotune.records import Percentile
from autotune.spec import Record, ServingConfig

ANY_SERVER = "server"
"""What a server is called of which nobody said what it is."""


def describe_target(server: str, version: str | None, url: str | None) -> str:
    """Return a server in words: `litserve 0.2.6`, `server at http://...`."""
    at = f" at {url}" if url is not None else ""
    return f"{server}{f' {version}' if version else ''}{at}"


class TargetLoad(Record, frozen=True):
    """One load: latencies at the SLO's percentile, of the engine and of the server."""

    load_rps: float
    config: ServingConfig
    """The engine's own answer, or the nearest to it that the server can express."""
    engine: Percentile | None
    """Of this configuration in the engine, as its own search measured it; None: it did not."""
    server: Percentile | None
    """Of the same configuration through the server; None: it was not measured, or failed."""
    best: Percentile | None
    """Of the policy's configuration through the server; None: it was not measured."""

    @property
    def ratio(self) -> float | None:
        """The server's latency over the engine's, with one configuration; None: not known."""
        if self.engine is None or self.server is None:
            return None
        if self.engine.value_ms is None or self.server.value_ms is None:
            return None
        return self.server.value_ms / self.engine.value_ms


class TargetInfo(Record, frozen=True):
    """What was measured through, and how far the engine's own answer was from it."""

    server: str
    """As named for `export`, or `ANY_SERVER`."""
    version: str | None
    """Of the server's package; None: it was not started here, or is no package."""
    url: str | None
    """Where requests were posted to a server that was reconfigured; None: it was started here."""
    not_carried: list[str]
    """What it carries otherwise than the engine, or not at all, a clause each."""
    loads: list[TargetLoad]
    """One a load of the policy, in its order."""

    def describe(self) -> str:
        """The server in words."""
        return describe_target(self.server, self.version, self.url)
