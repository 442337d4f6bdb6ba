"""Copies to and from devices, of several replicas or runs, as one account."""

from collections.abc import Iterable

from autotune.records import Transfer


def total(transfers: Iterable[Transfer]) -> Transfer | None:
    """Add up; what was hidden counts by how long it took. None where there is nothing to add."""
    every = list(transfers)
    if not every:
        return None
    copied_s = sum(one.in_s + one.out_s for one in every)
    hidden_s = sum(one.hidden_share * (one.in_s + one.out_s) for one in every)
    return Transfer(
        batches=sum(one.batches for one in every),
        in_s=sum(one.in_s for one in every),
        out_s=sum(one.out_s for one in every),
        compute_s=sum(one.compute_s for one in every),
        hidden_share=hidden_s / copied_s if copied_s else 0.0,
    )
