"""WHERE we may look: axes from machine and model, the lattice they span, and what is not in it.

Pure: numbers of cores and facts about a model in, configurations out.
"""
