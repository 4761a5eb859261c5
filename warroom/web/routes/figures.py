"""Figures of a brand: STAR, flows, census, ledger."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from msgspec import Meta, Struct

from schemas.times import LAST_MS, MINUTE_MS
from warroom.compare import Comparison, Period, compare_periods
from warroom.figures import Activating, By, Census, LedgerLine, Returning, Scaling, Triangulating
from warroom.lists import FlowLine
from warroom.web.call import CallOf
from warroom.web.cursors import decode_cursor, encode_cursor
from warroom.web.parameters import (
    AgainstFrom,
    AgainstTo,
    Brand,
    Cursor,
    From,
    Limit,
    SpanAsked,
    To,
    as_long,
    whole_minutes,
)

Dimension = Annotated[By, Query(description="the dimension to split by")]


class Ledger(Struct, frozen=True, kw_only=True):
    """Lines of the ledger, all layers of a minute together; `next` leads to further minutes."""

    items: list[LedgerLine]
    next: str | None


async def scaling(call: CallOf, brand: Brand, from_: From, to: To, by: Dimension = By.ALL) -> list[Scaling]:
    """Users per layer at the period's end against its beginning, and how many of them are new."""
    start, end = whole_minutes(from_, to)
    return await call.room.pool.ask(lambda star: star.scaling(brand, start, end, by))


async def triangulating(call: CallOf, brand: Brand, from_: From, to: To, by: Dimension = By.ALL) -> list[Triangulating]:
    """Each layer's share of all users, and its growth."""
    start, end = whole_minutes(from_, to)
    return await call.room.pool.ask(lambda star: star.triangulating(brand, start, end, by))


async def activating(call: CallOf, brand: Brand, from_: From, to: To, by: Dimension = By.ALL) -> list[Activating]:
    """Distinct users that left a layer for another in the period: the full matrix, forward and reverse."""
    start, end = whole_minutes(from_, to)
    return await call.room.pool.ask(lambda star: star.activating(brand, start, end, by))


async def returning(call: CallOf, brand: Brand, from_: From, to: To, by: Dimension = By.ALL) -> list[Returning]:
    """What the period sold, by the layer the buyers stood in; repurchase, spend and return."""
    start, end = whole_minutes(from_, to)
    return await call.room.pool.ask(lambda star: star.returning(brand, start, end, by))


async def compare(
    call: CallOf,
    brand: Brand,
    from_: From,
    to: To,
    against_from: AgainstFrom,
    against_to: AgainstTo = None,
    by: Dimension = By.ALL,
) -> Comparison:
    """Every STAR figure of a period against another's: value, against, absolute and relative change. The answer names both periods."""
    start, end = whole_minutes(from_, to)
    period = Period(begins=start, ends=end)
    other = as_long(against_from, period.minutes, "against_") if against_to is None else whole_minutes(against_from, against_to, "against_")
    against = Period(begins=other[0], ends=other[1])
    room = call.room
    key = ("compare", brand, period, against, by)
    found: Comparison = await room.shared.get(key, lambda: room.pool.ask(lambda star: compare_periods(star, brand, period, against, by)))
    return found


async def flows(
    call: CallOf,
    asked: SpanAsked,
) -> list[FlowLine]:
    """Who went from which layer to which in the period. Without a store or guide it is read from sums, and quick for any period."""
    span = asked()
    room = call.room
    found: list[FlowLine] = await room.shared.get(("flows", span), lambda: room.pool.ask(lambda lists: lists.flow_lines(span)))
    return found


async def census(call: CallOf, brand: Brand) -> Census:
    """Users per layer as the ledger closes over all that is stored. The live snapshot has them as they stand this second."""
    return await call.room.pool.ask(lambda star: star.census(brand))


async def ledger(call: CallOf, brand: Brand, from_: From, to: To, cursor: Cursor = None, limit: Limit = 100) -> Ledger:
    """Opening + in - out = closing, per minute and layer; `limit` counts minutes."""
    start, end = whole_minutes(from_, to)
    place = decode_cursor("ledger", cursor, tuple[Annotated[int, Meta(ge=0, le=LAST_MS)]])
    if place is not None:
        start = min(max(start, place[0] - place[0] % MINUTE_MS), end - MINUTE_MS)
    rows_a_minute = len(call.room.layers) + 16  # a former ladder's layers beside them
    lines = await call.room.pool.ask(lambda lists: lists.ledger_lines(brand, start, end, (limit + 1) * rows_a_minute))
    minutes = list(dict.fromkeys(line.minute for line in lines))
    if len(minutes) <= limit:
        return Ledger(items=lines, next=None)
    last = set(minutes[:limit])
    return Ledger(items=[line for line in lines if line.minute in last], next=encode_cursor("ledger", minutes[limit]))
