"""Where a line belongs: its topic by its type, its key by its user. Reads only what that takes; judges nothing else."""

from __future__ import annotations

import zlib
from datetime import datetime
from functools import lru_cache
from typing import Annotated, NamedTuple

import msgspec

from schemas.framing import unframed
from schemas.partition import partition_of
from schemas.times import from_datetime
from schemas.touchpoint import CATALOGUE, TICK, Kind


class Route(NamedTuple):
    """`kind` gives the topic. `key` is the user id, None where none can be read. `occurred_at` is in epoch milliseconds, None
    where it cannot be read. `tick` is set for a line that calls itself a tick; its `kind` is then the exposures', where it
    becomes a dead letter should it be a broken one."""

    kind: Kind
    key: bytes | None
    occurred_at: int | None
    tick: bool = False


class _Head(msgspec.Struct):
    type: object = None
    user_id: object = None
    occurred_at: object = None


_Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""As the processor reads it, small letters and all."""

_decode = msgspec.json.Decoder(_Head).decode
_NOWHERE = Route(Kind.EXPOSURE, None, None)


def route(line: bytes) -> Route:
    """The route of any bytes at all: what is unreadable, or of an unknown type, goes where the exposures go."""
    try:
        head = _decode(unframed(line))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOWHERE
    name, at = head.type, head.occurred_at
    kind = CATALOGUE.get(name, Kind.EXPOSURE) if isinstance(name, str) else Kind.EXPOSURE
    return Route(kind, _key(head.user_id), at if type(at) is int else _millis(at), name == TICK)


def partition(line: bytes, key: bytes | None, partitions: int) -> int:
    """The partition of a line: its user's by murmur2, or for a line of nobody one that depends on its bytes alone."""
    return zlib.crc32(line) % partitions if key is None else _partition_of(key, partitions)


@lru_cache(maxsize=1 << 18)
def _partition_of(key: bytes, partitions: int) -> int:
    return partition_of(key.decode(), partitions)


def _key(user_id: object) -> bytes | None:
    # Longer ids than any valid one are not worth hashing: the line is a dead letter wherever it lands.
    if isinstance(user_id, str) and 0 < len(user_id) <= 128:
        return user_id.encode()
    return None


def _millis(at: object) -> int | None:
    if not isinstance(at, str):
        return None
    try:
        return from_datetime(msgspec.convert(at, _Time))
    except (msgspec.ValidationError, OverflowError):
        return None
