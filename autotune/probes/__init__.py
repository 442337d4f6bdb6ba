"""The machine as this process may really use it: cores, memory, identity."""
