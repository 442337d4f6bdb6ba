"""Real servers: started here with an export, driven open-loop, and looked at.

Read `verify.py` first. `starters.py` knows how each server starts, `running.py` keeps one alive
and ends it with all its processes, `drive.py` sends requests on schedule, `seen.py` compares.
"""
