"""A tuned configuration in the words of a server: pure functions from record to files.

`exporters.py` lists the servers. What runs inside a server stands in `handlers/`: real files that
are copied as they are, and read their numbers from `knobs.json`, so that no name can become code.
"""
