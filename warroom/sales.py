"""What was sold in a window, and to how many heads: what a promotion's targets are held against. Text fixed, values bound."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from sinks.config import ClickHouse
from warroom import sales_queries
from warroom.reader import Reader
from warroom.spans import bound_spans

_KEPT_SECONDS = 300.0
_KEPT_TIMES = 100.0
_OPENING_SECONDS = 60
_MOST_BY_MINUTE = 1_000_000
"""Orders: of more, distinct buyers are merged by the hour, not by the minute."""


class MinuteSales(Struct, frozen=True, kw_only=True):
    """Sales of one minute (epoch milliseconds), money in minor units; `buyers_so_far`: distinct ones since the period began, of more than
    65,536 an estimate within half a percent."""

    minute: int
    orders: int
    gmv: int
    refunded: int
    buyers_so_far: int


class CellSales(Struct, frozen=True, kw_only=True):
    """Sales to buyers who stood in a layer, by the channel and store (empty: none) of the touchpoint that put them there; minor units."""

    layer: str
    channel: str
    store_id: str
    orders: int
    gmv: int
    refunded: int


class Heads(Struct, frozen=True, kw_only=True):
    """Users of a layer, by the channel and store (empty: none) of the touchpoint that put them there."""

    layer: str
    channel: str
    store_id: str
    users: int


class Opening(NamedTuple):
    """Who stood where at an instant, kept `until` (of a clock that never runs backwards)."""

    until: float
    heads: list[Heads]


Openings = dict[tuple[str, int], Opening]
"""By brand and instant; may be shared by the readers of several threads."""


def buyers_by_minute(orders: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[int]:
    """Distinct buyers up to the end of each minute, given with its orders: those at the ends of `spans` (begin, buyers up to its end)
    as they are, between them in proportion to the orders."""
    begins = [begin for begin, _ in spans]
    so_far = [0, *(buyers for _, buyers in spans)]
    place = [bisect_right(begins, minute) for minute, _ in orders]
    sums: Counter[int] = Counter()
    for number, (_, count) in zip(place, orders, strict=True):
        sums[number] += count
    done: Counter[int] = Counter()
    found = []
    for number, (_, count) in zip(place, orders, strict=True):
        done[number] += count
        came = so_far[number] - so_far[number - 1]
        found.append(so_far[number - 1] + (came * done[number] // sums[number] if sums[number] else came))
    return found


class Sales(Reader):
    """A reader of one database. Every method raises StoreAway or StoreError (`sinks.errors`). Instants are epoch milliseconds."""

    def __init__(self, config: ClickHouse, *, seconds: int | None = None, openings: Openings | None = None) -> None:
        """`seconds`: the longest that a query may take, but for the one that walks through all users; default: as long as it takes."""
        super().__init__(config, **({} if seconds is None else {"max_execution_time": seconds}))
        self._openings: Openings = {} if openings is None else openings

    def by_minute(self, brand: str, start: int, end: int) -> list[MinuteSales]:
        """Sales of the minutes from `start` to before `end` in which something was sold, in order. Of very many orders the buyers of a
        whole hour are told to its minutes by their orders."""
        bound = {"brand": brand, **bound_spans(start, end)}
        if int(self._rows(sales_queries.ORDERED, bound)[0][0]) <= _MOST_BY_MINUTE:
            return self._structs(MinuteSales, sales_queries.BY_MINUTE, bound)
        rows = [(int(at), int(orders), int(gmv), int(back)) for at, orders, gmv, back in self._rows(sales_queries.SOLD_BY_MINUTE, bound)]
        spans = [(int(at), int(buyers)) for at, buyers in self._rows(sales_queries.BUYERS_BY_SPAN, bound)]
        told = buyers_by_minute([row[:2] for row in rows], spans)
        return [
            MinuteSales(minute=at, orders=orders, gmv=gmv, refunded=back, buyers_so_far=buyers)
            for (at, orders, gmv, back), buyers in zip(rows, told, strict=True)
        ]

    def by_cell(self, brand: str, start: int, end: int) -> list[CellSales]:
        """Sales from `start` to before `end` by the layer the buyer stood in, channel and store."""
        return self._structs(CellSales, sales_queries.BY_CELL, {"brand": brand, **bound_spans(start, end)})

    def heads_at(self, brand: str, at: int) -> list[Heads]:
        """Who stood where at an instant. Kept for five minutes or a hundred times as long as it took, for it may have to walk through all
        users; late events may still move it."""
        kept = self._openings.get((brand, at))
        if kept is None or kept.until < time.monotonic():
            began = time.monotonic()
            heads = self._opening(brand, at)
            now = time.monotonic()
            for key in [key for key, one in self._openings.items() if one.until < now]:
                self._openings.pop(key, None)
            kept = self._openings[brand, at] = Opening(now + max(_KEPT_SECONDS, _KEPT_TIMES * (now - began)), heads)
        return kept.heads

    def _opening(self, brand: str, at: int) -> list[Heads]:
        bound = {"brand": brand, **bound_spans(0, at)}
        if not self._rows(sales_queries.UNTOLD, bound)[0][0]:
            return self._structs(Heads, sales_queries.HEADS_OPENING, bound)
        heads = self._structs(Heads, sales_queries.HEADS_OPENING_OF_RECORDS, bound, _OPENING_SECONDS)
        seen = self._structs(Heads, sales_queries.NEWCOMERS_OPENING, bound)
        moved = sum(one.users for one in heads)
        still = [msgspec.structs.replace(one, users=one.users - moved) for one in seen if one.users > moved]
        return sorted([*heads, *still], key=lambda one: (one.layer, one.channel, one.store_id))

    def heads(self, brand: str, start: int, end: int, *, by_store: bool = False) -> list[Heads]:
        """Everybody who stood in a layer at any time from `start` to before `end`: who stood there when it began, and every entry since.

        Who comes back counts again. Without `by_store` those who entered since have no store.
        """
        sums: dict[tuple[str, str, str], int] = {}
        for one in (*self.heads_at(brand, start), *self.heads_entered(brand, start, end, by_store=by_store)):
            place = (one.layer, one.channel, one.store_id)
            sums[place] = sums.get(place, 0) + one.users
        return [Heads(layer=place[0], channel=place[1], store_id=place[2], users=users) for place, users in sorted(sums.items())]

    def heads_entered(self, brand: str, start: int, end: int, *, by_store: bool) -> list[Heads]:
        """Every entry into a layer from `start` to before `end`."""
        bound = {"brand": brand, "dimension": "place" if by_store else "channel", **bound_spans(start, end)}
        return self._structs(Heads, sales_queries.HEADS_ENTERED, bound)

    def as_of(self) -> int:
        """Up to when what was sold is stored, on every shard that has told anything; 0 while none has."""
        rows = self._rows(sales_queries.AS_OF)
        return max(0, int(rows[0][0] or 0)) if rows else 0
