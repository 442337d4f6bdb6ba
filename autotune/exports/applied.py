"""Any server that a command reconfigures: what the command is told."""

from typing import get_args

from autotune.exports.deployment import Carried, Exporter, Knob
from autotune.spec import ServingConfig

CONFIG_VARIABLE = "AUTOTUNE_CONFIG"
"""Names the file that holds the whole configuration as JSON."""
_BY_COMMAND = Carried("setting", "what --apply COMMAND makes of it")

APPLIED = Exporter(
    title="a server that a command reconfigures",
    proof="run",
    carried=dict.fromkeys(get_args(Knob), _BY_COMMAND),
    files=lambda deployment: {},
    next_steps=lambda deployment: [],
    torch=True,
)


def variables(config: ServingConfig) -> dict[str, str]:
    """Return every knob as the command finds it: `AUTOTUNE_REPLICAS=2`, switches as 1 or 0."""
    values = {knob: getattr(config, knob) for knob in config.__struct_fields__}
    return {f"AUTOTUNE_{knob.upper()}": _text(value) for knob, value in values.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)
