"""The Python interface: what the command line does, as one function each, with results that show.

Numbers bear their unit in their name (`slo_ms`, `loads_rps`, `budget_s`). What is checked is
checked by the code that checks the command line's options (`autotune.given`). Nothing here takes a
signal for itself, needs the main thread or an `if __name__ == "__main__"`: what is measured runs in
processes started afresh.
"""
