"""What became of the requests of an engine."""

from autotune.spec import Record


class Counters(Record, frozen=True):
    """Since the engine was opened. At any moment

    submitted == answered + failed + expired + cancelled + queued + executing
    """

    submitted: int
    """Requests that were queued; those rejected are not among them."""
    answered: int
    failed: int
    """Whose future raises what the model raised, that replicas died of them, or that the engine was
    closed before they were served."""
    expired: int
    """Dropped, for they could no longer meet their deadline."""
    cancelled: int
    """Dropped, for their future was cancelled while they waited."""
    queued: int
    """Waiting now."""
    executing: int
    """In a batch now, or about to be tried again."""
    rejected: int
    """Refused at `submit`, for the queue was full."""
    replicas_replaced: int
    """Replicas that died and stand again."""
