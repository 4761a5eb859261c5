"""What may stand in an address, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Path, Query

from schemas.times import LAST_MS, MINUTE_MS, from_rfc3339
from warroom.lists import LONGEST_MS, Span
from warroom.web.problems import FieldError, Problem

_DATE = r"(19[7-9]\d|2[01]\d\d|22[0-8]\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_TIME = rf"^{_DATE}T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{{1,6}})?)?(Z|[+-](0\d|1[0-3]):[0-5]\d)$"

# A character that no label has: what is sent to ClickHouse as text ends at it.
_PLAIN = r"^[^\u0000]*$"

Brand = Annotated[str, Path(min_length=1, max_length=128, description="the brand", examples=["acme"])]
UserId = Annotated[str, Path(min_length=1, max_length=128, pattern=_PLAIN, description="the user's id", examples=["u000123"])]
LayerId = Annotated[str, Path(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$", description="a layer of the ladder", examples=["R3"])]
From = Annotated[
    str,
    Query(alias="from", pattern=_TIME, description="begin of the period, RFC 3339 with an offset", examples=["2026-11-11T00:00:00+08:00"]),
]
To = Annotated[
    str, Query(pattern=_TIME, description="end of the period, not included; at most 400 days", examples=["2026-11-12T00:00:00+08:00"])
]
OptionalFrom = Annotated[
    str | None,
    Query(alias="from", pattern=_TIME, description="begin of the period, RFC 3339 with an offset", examples=["2026-11-11T00:00:00+08:00"]),
]
OptionalTo = Annotated[
    str | None, Query(pattern=_TIME, description="its end, not included; at most 400 days", examples=["2026-11-12T00:00:00+08:00"])
]
AgainstFrom = Annotated[str, Query(pattern=_TIME, description="begin of the other period", examples=["2025-11-11T00:00:00+08:00"])]
AgainstTo = Annotated[str | None, Query(pattern=_TIME, description="end of the other period, not included; default: as long as the first")]
At = Annotated[
    str | None,
    Query(pattern=_TIME, description="as it stood then, RFC 3339 with an offset; default: as far as sales are stored"),
]
Channel = Annotated[str, Query(max_length=128, pattern=_PLAIN, description="this channel only", examples=["douyin"])]
Campaign = Annotated[str, Query(max_length=128, pattern=_PLAIN, description="this campaign only", examples=["d11-teaser"])]
Store = Annotated[str, Query(max_length=128, pattern=_PLAIN, description="this store only", examples=["sh-017"])]
Guide = Annotated[str, Query(max_length=128, pattern=_PLAIN, description="this guide only", examples=["g-004"])]
OneLabel = Annotated[str, Query(max_length=128, pattern=_PLAIN, description="the label; empty: what carries none", examples=["douyin"])]
Step = Annotated[int, Query(ge=1, le=1_440, description="minutes from one instant to the next")]
LayerFilter = Annotated[str, Query(max_length=32, pattern=r"^[A-Za-z0-9_]*$", description="this layer only", examples=["R1"])]
Cursor = Annotated[str | None, Query(max_length=2048, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1_000, description="how many at most")]
ExportLimit = Annotated[int, Query(ge=1, le=100_000, description="how many at most")]


def whole_minutes(begin: str, end: str, prefix: str = "") -> tuple[int, int]:
    """The whole minutes that cover a period, as epoch milliseconds; `prefix` stands before the parameters' names. Raises Problem 400."""
    start, until = _instant(f"{prefix}from", begin), _instant(f"{prefix}to", end)
    if start >= until:
        raise _wrong(f"{prefix}to", f"a time after `{prefix}from`")
    if until - start > LONGEST_MS:
        raise _wrong(f"{prefix}to", "a period of 400 days at most")
    return start - start % MINUTE_MS, min(until + -until % MINUTE_MS, LAST_MS - LAST_MS % MINUTE_MS)


async def _span_asked(
    brand: Brand,
    from_: From,
    to: To,
    channel: Channel = "",
    campaign_id: Campaign = "",
    store_id: Store = "",
    guide_id: Guide = "",
) -> Callable[[], Span]:
    def span() -> Span:
        start, end = whole_minutes(from_, to)
        return Span(brand=brand, start=start, end=end, channel=channel, campaign_id=campaign_id, store_id=store_id, guide_id=guide_id)

    return span


SpanAsked = Annotated[Callable[[], Span], Depends(_span_asked)]
"""The span that the address asks for. Called by the handler, so that what is not well formed is told before; raises Problem 400."""


def as_long(begin: str, minutes: int, prefix: str) -> tuple[int, int]:
    """The whole minutes from that of `begin` on, so many. Raises Problem 400."""
    start = _instant(f"{prefix}from", begin)
    start -= start % MINUTE_MS
    if start + minutes * MINUTE_MS > LAST_MS:
        raise _wrong(f"{prefix}from", "a period that ends before the calendar does")
    return start, start + minutes * MINUTE_MS


def instant_of(at: str | None) -> int | None:
    """`At` in epoch milliseconds. Raises Problem 400."""
    return None if at is None else _instant("at", at)


def _instant(name: str, text: str) -> int:
    try:
        at = from_rfc3339(text)
    except ValueError:
        raise _wrong(name, "a day that the calendar has") from None
    if at < 0:
        raise _wrong(name, "a time since 1970")
    return at


def _wrong(name: str, expected: str) -> Problem:
    where = f"query.{name}"
    return Problem(400, f"{where}: expected {expected}", errors=[FieldError(where=where, expected=f"expected {expected}")])
