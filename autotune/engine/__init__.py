"""The system under test, and the runtime a user embeds: source of requests, batcher, replicas.

In scope: how requests become batches and batches become answers. Out of scope: where the load
comes from and what the model is; a replica is any function from stacked inputs to outputs.
"""
