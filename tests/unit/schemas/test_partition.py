"""The partitioner is Kafka's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_gives_what_kafkas_java_client_gives(key: str, expected: int) -> None:
    assert murmur2(key.encode()) == expected % 2**32


@given(user_id=st.text(st.characters(codec="utf-8")), partitions=st.integers(1, 200))
def test_every_user_has_a_partition(user_id: str, partitions: int) -> None:
    assert 0 <= partition_of(user_id, partitions) < partitions
