"""The store: every measurement, kept the moment it exists, in one SQLite file.

In scope: the file, its versions, what to do about a broken one. Out of scope: what is measured,
and when it may be used again (`autotune.stages.memory`).
"""
