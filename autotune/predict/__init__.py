"""What a configuration SHOULD do: service times from a short profile, then a queue simulation.

Pure numpy: all configurations at once, a loop over batches only.
"""
