"""Serve a tuned model inside your own program.

pip install autotune magika && autotune search magika: --slo 50ms && python examples/serve.py
"""

import numpy as np

import autotune

tuned = autotune.load("model.autotune.json")
print("configuration for 80 requests/s:", tuned.config(load_rps=80).describe())
with tuned.open("magika:", load_rps=80) as engine:
    futures = [engine.submit({"bytes": np.zeros((1, 2048), np.int32)}) for _ in range(10)]
    for future in futures:
        print({name: array.shape for name, array in future.result().items()})
