"""Which partition, and so which shard, a user belongs to: Kafka's own murmur2 partitioner."""

from __future__ import annotations

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of Kafka's Java client (`org.apache.kafka.common.utils.Utils.murmur2`), unsigned."""
    length = len(data)
    h = (0x9747B28C ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if length != whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(user_id: str, partitions: int) -> int:
    """The partition of 0..partitions-1 that holds `user_id` on every topic."""
    return (murmur2(user_id.encode()) & 0x7FFFFFFF) % partitions
