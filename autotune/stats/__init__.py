"""Numbers from logs: percentiles with intervals, verdicts, paired comparisons.

Pure: samples in, numbers out; no clock, no machine.
"""
