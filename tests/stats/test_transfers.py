import pytest

from autotune.records import Transfer
from autotune.stats.transfers import total


def test_what_was_hidden_counts_by_how_long_it_took() -> None:
    short = Transfer(batches=1, in_s=0.5, out_s=0.5, compute_s=1.0, hidden_share=1.0)
    long = Transfer(batches=9, in_s=1.0, out_s=2.0, compute_s=7.0, hidden_share=0.2)
    both = total([short, long])
    assert both is not None
    assert (both.batches, both.in_s, both.out_s, both.compute_s) == (10, 1.5, 2.5, 8.0)
    assert both.hidden_share == pytest.approx((1 * 1.0 + 3 * 0.2) / 4)


def test_of_nothing_there_is_no_account_and_of_no_time_no_share() -> None:
    assert total([]) is None
    idle = Transfer(batches=0, in_s=0.0, out_s=0.0, compute_s=0.0, hidden_share=0.0)
    assert total([idle, idle]) == idle
