"""How much of a log the mock cluster keeps.

librdkafka's mock drops the oldest batches of a partition beyond 5 MB or 100,000 batches. Both limits are written into every new
partition as constants and nothing can be configured. They are plain numbers in memory, though, and a partition that has just been
created and is still empty looks like nothing else there, so they are found and raised:

    msgsets {first = NULL, last = &first} size = 0, cnt = 0, max_size = 5 MiB, max_cnt = 100000, offsets {first = NULL, last = &first}

Two pointers that point at themselves cannot be there by chance, and nothing is written unless exactly as many places were found
as there are partitions. If a later librdkafka looks different, the limits stay as they are and the caller is told.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from pathlib import Path

DEFAULT_BYTES = 5 * 1024 * 1024
_DEFAULT_BATCHES = 100_000
_BATCHES = 1_000_000
"""A fetch looks for its batch from the log's start on, so their number is what makes a long log slow: a million cost some 10 ms."""

_EMPTY = struct.pack("QQQQQ", 0, 0, DEFAULT_BYTES, _DEFAULT_BATCHES, 0)


def raise_retention(partitions: int, max_bytes: int) -> bool:
    """Let every partition keep `max_bytes`, if all `partitions` of this process's mock cluster can be found.

    To be called when they exist and are empty, before any client knows of them. False if the limits were left as they are.
    """
    places = list(_empty_partitions())
    if len(places) != partitions:
        return False
    for place in places:
        ctypes.c_size_t.from_address(place + 16).value = max_bytes
        ctypes.c_size_t.from_address(place + 24).value = _BATCHES
    return True


def _empty_partitions() -> Iterator[int]:
    """Where the four numbers (size, cnt, max_size, max_cnt) of each empty partition lie."""
    for start, memory in _heaps():
        at = memory.find(_EMPTY)
        while at >= 0:
            place = start + at
            before = struct.unpack_from("QQ", memory, at - 16) if at >= 16 else (1, 0)
            after = struct.unpack_from("QQ", memory, at + 32) if at + 48 <= len(memory) else (1, 0)
            if before == (0, place - 16) and after == (0, place + 32):
                yield place
            at = memory.find(_EMPTY, at + 8)


def _heaps() -> Iterator[tuple[int, bytes]]:
    """The memory that malloc hands out: writable and of no file. None of it where there is no /proc."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    regions = [line.split() for line in maps.read_text().splitlines()]
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for region in regions:
            if not region[1].startswith("rw") or (len(region) > 5 and region[5] != "[heap]"):
                continue
            start, end = (int(part, 16) for part in region[0].split("-"))
            try:
                memory.seek(start)
                yield start, memory.read(end - start)
            except (OSError, ValueError, OverflowError):  # gone since, or a guard
                continue
