"""The knobs that a caller in Python gave, as a configuration."""

from typing import Any, get_args

from msgspec import structs

from autotune.api.asked import number, whether, whole
from autotune.errors import UsageError
from autotune.given import check_config, check_whole
from autotune.spec import LONGEST_MS, ExecutionMode, Form, Provider, ReplicasAs, ServingConfig

_WORDS = {
    "execution_mode": get_args(ExecutionMode),
    "replicas_as": get_args(ReplicasAs),
    "form": get_args(Form),
    "provider": get_args(Provider),
}
"""Of the knobs that are words."""


def config(base: ServingConfig | None, **knobs: Any) -> ServingConfig:
    """Return a configuration with some knobs changed; None: as in the base.

    Raises:
        UsageError: a value is out of range, or knobs contradict each other.
    """
    if base is not None and not isinstance(base, ServingConfig):
        raise UsageError(f"config={base!r} is not an autotune.ServingConfig")
    given = {name: value for name, value in knobs.items() if value is not None}
    made = structs.replace(base or ServingConfig(), **given)
    for name, least in (
        ("replicas", 1),
        ("intra_op_threads", 0),
        ("inter_op_threads", 1),
        ("max_batch_size", 1),
        ("devices", 1),
    ):
        value = getattr(made, name)
        check_whole(whole(value, name), f"{name}={value!r}", least)
    for name, words in _WORDS.items():
        value = getattr(made, name)
        if value not in words:
            listed = ", ".join(map(repr, words))
            what = f"neither {words[0]!r} nor {words[1]!r}" if len(words) == 2 else listed
            raise UsageError(f"{name}={value!r} is {'' if len(words) == 2 else 'none of '}{what}")
    for name in ("spinning", "overlap", "cuda_graphs"):
        whether(getattr(made, name), name)
    if not 0 <= number(made.batch_timeout_ms, "batch_timeout_ms") <= LONGEST_MS:
        raise UsageError(
            f"batch_timeout_ms={made.batch_timeout_ms!r} must be 0 or more, and up to an hour"
        )
    return check_config(made)
