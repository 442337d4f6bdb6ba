"""The engine a user embeds: submit requests, get futures."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType

from autotune.engine.replica import Infer, start_replicas
from autotune.engine.source import LiveSource, Tensors


class LiveEngine:
    """Replicas and a batcher over a live queue: the code that was measured, now serving.

    Thread-safe. Close it, or use it as a context manager; queued requests are served first.
    """

    def __init__(
        self,
        infers: Sequence[Infer],
        max_batch_size: int,
        batch_timeout_s: float,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """Start one replica per function of `infers`; `close` is called when all have ended."""
        self._source = LiveSource()
        self._close = close
        self._threads = start_replicas(infers, self._source, max_batch_size, batch_timeout_s)

    def submit(self, inputs: Tensors) -> "Future[Tensors]":
        """Queue one request: its arrays by input name, as the model takes them.

        Returns:
            A future of the outputs by name. It raises what the model raised.

        Raises:
            RuntimeError: the engine is closed.
        """
        return self._source.submit(inputs)

    def close(self) -> None:
        """Serve what is queued, then stop the replicas."""
        self._source.close()
        for thread in self._threads:
            thread.join()
        self._close()

    def __enter__(self) -> "LiveEngine":
        """Return the engine itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""
        self.close()
