"""How many users are walked through: all of a short period, of a long one as many as can be."""

from __future__ import annotations

import pytest

from warroom.sample import COUNTED, WALKED, sample_of


@pytest.mark.parametrize(
    ("transitions", "one_in"),
    [(0, 1), (COUNTED, 1), (COUNTED + 1, 16), (16 * WALKED, 16), (17 * WALKED, 32), (100_000_000, 32), (10**12, 1024)],
)
def test_a_sample_is_as_large_as_can_be_read(transitions: int, one_in: int) -> None:
    sample = sample_of(transitions)
    assert sample.one_in == one_in
    assert sample.is_partial == (one_in > 1)
    assert sample.rank == (max(one_in // 16, 1)).bit_length() - 1
