"""One measurement in one process: spawn (parent side), wire (both sides), child (its own process).

In scope: processes, pipes, timeouts, what a dead child means. Out of scope: which configuration
is measured, and what the numbers are worth.
"""
