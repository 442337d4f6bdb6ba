"""Serve a tuned model inside your own program.

pip install -c constraints.txt . magika && autotune search magika: --slo 50ms
python examples/serve.py
"""

import numpy as np

import autotune

tuned = autotune.load("model.autotune.json")
print("configuration:", tuned.config().describe())
with tuned.open("magika:") as engine:
    futures = [engine.submit({"bytes": np.zeros((1, 2048), np.int32)}) for _ in range(10)]
    for future in futures:
        print({name: array.shape for name, array in future.result().items()})
