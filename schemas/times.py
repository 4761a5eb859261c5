"""Instants as rflow writes them: epoch milliseconds inside, RFC 3339 with milliseconds and `Z` on topics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
LAST_MS = 10_413_791_999_999
"""The latest instant a record may carry, 2299-12-31T23:59:59.999Z: the end of ClickHouse's DateTime64."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_rfc3339(ms: int) -> str:
    """`1794355203120` -> `2026-11-10T21:20:03.120Z`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(8192)  # a stream's records lie close together in time
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def from_datetime(value: datetime) -> int:
    """Epoch milliseconds of an aware datetime, what is finer than a millisecond cut off.

    Raises TypeError for a naive datetime.
    """
    return (value - _EPOCH) // _MILLISECOND


def from_rfc3339(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 text with an offset. Raises ValueError for any other text."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"expected an RFC 3339 time with an offset, found {text!r}")
    return from_datetime(value)
