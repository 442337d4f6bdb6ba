"""What a request can meet with in an embedded engine, beside what its own model raises."""


class QueueFullError(RuntimeError):
    """As many requests wait already as may: try later, or elsewhere. Nothing was queued."""


class EngineClosedError(RuntimeError):
    """The engine takes no more requests, or ended before it could serve this one."""


class DeadlineExceededError(TimeoutError):
    """The request could no longer be answered in time, and was not executed."""


class ModelEndedError(RuntimeError):
    """The model raised what would have ended its thread, such as SystemExit."""


class ReplicaGoneError(RuntimeError):
    """A replica can execute nothing any more: its process has ended."""
