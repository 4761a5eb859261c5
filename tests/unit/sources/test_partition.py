"""Kafka's own test vectors of murmur2 (org.apache.kafka.common.utils.UtilsTest)."""

from __future__ import annotations

import pytest

from schemas.partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafkas_java_client(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


def test_partition_is_that_of_kafkas_default_partitioner() -> None:
    assert partition_of("21", 12) == (-973932308 & 0x7FFFFFFF) % 12
    assert partition_of("会员0000099", 7) == (murmur2("会员0000099".encode()) & 0x7FFFFFFF) % 7
