"""The search, raced: recorded tables, machines on paper, rivals, and the race itself.

Each part is a program: from `benchmarks/`, `python -m search.NAME --help`.
"""
