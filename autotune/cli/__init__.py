"""The command line: flags become one request record, one call answers it, one table shows it.

The only room that knows typer and rich.
"""
