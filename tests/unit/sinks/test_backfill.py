"""Blocks are filled in together up to a number of rows, in order, each once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sinks.backfill import ranges

SIZES = st.lists(st.integers(1, 50), max_size=30)


@given(SIZES, st.integers(1, 60))
def test_ranges_take_every_block_once_and_no_more_rows_than_they_may(sizes: list[int], most: int) -> None:
    blocks = [(3 * number + 1, size) for number, size in enumerate(sizes)]
    found = list(ranges(blocks, most))
    taken = [[(block, size) for block, size in blocks if first <= block <= last] for first, last in found]
    assert [one for group in taken for one in group] == blocks
    assert all(len(group) == 1 or sum(size for _, size in group) <= most for group in taken)
    # two that stand side by side would not fit into one
    assert all(sum(size for _, size in one) + other[0][1] > most for one, other in pairwise(taken))
