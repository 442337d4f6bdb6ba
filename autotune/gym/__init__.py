"""The tuner's problem as a Gymnasium environment: `pip install 'autotune[gym]'`.

    import gymnasium
    import autotune.gym

    env = gymnasium.make("autotune/Serving-v0", model=0, machine="paper:cpu:16")

Importing this room registers it: since its version 1.0 Gymnasium looks for no plug-ins. Where
there is no line to import in, `autotune.gym:autotune/Serving-v0` is a name that does it.
"""

try:
    import gymnasium
except ImportError as error:
    raise ImportError("gymnasium is not installed: pip install 'autotune[gym]'") from error

from autotune.gym.serving import ServingEnv
from autotune.stats.reward import reward

__all__ = ["ID", "ServingEnv", "reward"]

ID = "autotune/Serving-v0"

gymnasium.register(id=ID, entry_point="autotune.gym.serving:ServingEnv")
