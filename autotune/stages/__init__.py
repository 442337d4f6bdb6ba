"""The steps of a search, in order: survey, explore, confirm, answer. `autotune.tune` strings them.

In scope: what to do next and for how long. Out of scope: processes, statistics, the screen.
"""
