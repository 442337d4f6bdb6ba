"""Model files as inference functions. Imported by child processes and the embedding API only.

In scope: loading a model with given threads, what its inputs are, what a request looks like.
Out of scope: when and how often it runs.
"""
