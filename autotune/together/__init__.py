"""Several models on one machine: one answer for all, each measured under the others' load.

Read `make.py` first. `slowing.py` says how much models slow each other down, `joints.py` which
configurations of all are worth a look, `benches.py` measures all of them at the same time.
"""
