"""Files of strangers, mutated by the thousand: see `python benchmarks/fuzz --help`."""
