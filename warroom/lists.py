# ruff: noqa: S608 - fixed text put together from fixed text
"""Lists that are read page by page: orders, transitions, audiences; and the flows of a period. Query text is fixed, values are bound.

A page begins behind a place in the table's own order, so that the thousandth costs what the first does.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.times import DAY_MS, LAST_MS
from sinks.config import ClickHouse
from warroom.figures import LedgerLine
from warroom.reader import datetime64
from warroom.sample import Sample, sample_of
from warroom.spans import MINUTES, SPANS, bound_spans
from warroom.star import Star

_AT = "DateTime64(3, 'UTC')"
_SPAN = f"brand = {{brand:String}} AND {{of}} >= {{start:{_AT}}} AND {{of}} < {{end:{_AT}}}"
_LABELS = """
    AND ({channel:String} = '' OR channel = {channel:String}) AND ({campaign_id:String} = '' OR campaign_id = {campaign_id:String})"""
_SHOPS = """
    AND ({store_id:String} = '' OR store_id = {store_id:String}) AND ({guide_id:String} = '' OR guide_id = {guide_id:String})"""

_ORDERS = f"""
SELECT toUnixTimestamp64Milli(o.occurred_at) AS at, type, user_id, order_id, event_id, amount, refunded, currency, layer_before,
    toUnixTimestamp64Milli(o.first_seen) AS first_seen, channel, campaign_id, store_id, guide_id
FROM orders AS o
WHERE {_SPAN.replace("{of}", "o.occurred_at")}{_LABELS}{_SHOPS}
    AND o.occurred_at <= {{upto:{_AT}}}
ORDER BY o.occurred_at DESC, user_id DESC, order_id DESC, event_id DESC
LIMIT {{limit:UInt32}} OFFSET {{skip:UInt32}}
"""

_TRANSITIONS = f"""
SELECT id, user_id, seq, from_layer, to_layer, direction, kind, toUnixTimestamp64Milli(t.occurred_at) AS occurred_at,
    toUnixTimestamp64Milli(t.effective_at) AS effective_at, late, cause_type, channel, campaign_id, store_id, guide_id
FROM transitions AS t
WHERE {_SPAN.replace("{of}", "t.effective_at")}{_LABELS}{_SHOPS}
    AND ({{from_layer:String}} = '' OR from_layer = {{from_layer:String}}) AND ({{to_layer:String}} = '' OR to_layer = {{to_layer:String}})
    AND t.effective_at <= {{upto:{_AT}}}
ORDER BY t.effective_at DESC, user_id DESC, seq DESC
LIMIT {{limit:UInt32}} OFFSET {{skip:UInt32}}
"""

_HISTORY = """
SELECT id, user_id, seq, from_layer, to_layer, direction, kind, toUnixTimestamp64Milli(t.occurred_at) AS occurred_at,
    toUnixTimestamp64Milli(t.effective_at) AS effective_at, late, cause_type, channel, campaign_id, store_id, guide_id
FROM transitions AS t
WHERE brand = {brand:String} AND user_id = {user_id:String} AND seq < {before:UInt64}
ORDER BY seq DESC
LIMIT {limit:UInt32}
"""

_FLOWS = f"""
SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, uniqMerge(users) AS users, sum(moves) AS transitions
FROM
(
    SELECT from_layer, to_layer, users, f.transitions AS moves FROM flow_minutes AS f
    WHERE brand = {{brand:String}} AND {MINUTES}{_LABELS}
    UNION ALL
    SELECT from_layer, to_layer, users, s.transitions AS moves FROM flow_spans AS s
    WHERE brand = {{brand:String}} AND told_by = {{told_by:String}} AND label = {{label:String}} AND ({SPANS})
)
GROUP BY from_layer, to_layer
ORDER BY from_layer, to_layer
"""

_FLOWS_OF_RECORDS = f"""
SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, uniq(bitShiftRight(xxh3(user_id), 11)) AS users,
    count() AS transitions
FROM transitions AS t
WHERE {_SPAN.replace("{of}", "t.effective_at")}{_LABELS}{_SHOPS}
GROUP BY from_layer, to_layer
ORDER BY from_layer, to_layer
"""

_FLOWS_OF_SHOP = f"""
SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, uniqMerge(users) AS users, sum(moves) AS transitions
FROM
(
    SELECT from_layer, to_layer, uniqState(bitShiftRight(xxh3(user_id), 11)) AS users, count() AS moves FROM transitions AS t
    WHERE brand = {{brand:String}} AND {MINUTES.replace("minute ", "t.effective_at ")}{_SHOPS}
    GROUP BY from_layer, to_layer
    UNION ALL
    SELECT from_layer, to_layer, users, s.transitions AS moves FROM shop_flow_spans AS s
    WHERE brand = {{brand:String}} AND told_by = {{told_by:String}} AND label = {{label:String}} AND ({SPANS})
)
GROUP BY from_layer, to_layer
ORDER BY from_layer, to_layer
"""

_FLOWS_OF_SAMPLE = f"""
SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, uniq(person) * {{one_in:UInt32}} AS users,
    count() * {{one_in:UInt32}} AS transitions
FROM move_sample AS t
WHERE {_SPAN.replace("{of}", "t.effective_at")} AND rank >= {{rank:UInt8}}{_LABELS}{_SHOPS}
GROUP BY from_layer, to_layer
ORDER BY from_layer, to_layer
"""

_LEDGER = f"""
SELECT toUnixTimestamp64Milli(minute) AS minute, layer, opening, users_in, users_out, closing, provisional
FROM crowd_ledger(brand = {{brand:String}}, `from` = {{start:{_AT}}}, `to` = {{end:{_AT}}})
ORDER BY minute, position, layer
LIMIT {{limit:UInt32}}
"""

_AUDIENCE = """
SELECT user_id, tupleElement(last, 1) AS layer, toUnixTimestamp64Milli(tupleElement(last, 2)) AS since, tupleElement(last, 3) AS channel,
    tupleElement(last, 4) AS campaign_id
FROM
(
    SELECT user_id, argMax((toString(to_layer), effective_at, toString(channel), toString(campaign_id)), seq) AS last
    FROM user_layers
    WHERE brand = {brand:String} AND user_id > {after:String}
    GROUP BY user_id
    HAVING tupleElement(last, 1) = {layer:String}
        AND ({channel:String} = '' OR tupleElement(last, 3) = {channel:String})
        AND ({campaign_id:String} = '' OR tupleElement(last, 4) = {campaign_id:String})
)
ORDER BY user_id
LIMIT {limit:UInt32}
"""

_SUPPRESSION = f"""
SELECT user_id, toUnixTimestamp64Milli(max(o.occurred_at)) AS bought_at, uniqExact(order_id) AS orders
FROM orders AS o
WHERE {_SPAN.replace("{of}", "o.occurred_at")} AND type = 'purchase' AND amount > 0 AND user_id > {{after:String}}
GROUP BY user_id
ORDER BY user_id
LIMIT {{limit:UInt32}}
"""


class OrderLine(Struct, frozen=True, kw_only=True):
    """A purchase or refund. Times epoch milliseconds, money minor units; an empty label means that there was none."""

    at: int
    type: str
    user_id: str
    order_id: str
    event_id: str
    amount: int
    refunded: int
    currency: str
    layer_before: str
    first_seen: int
    channel: str
    campaign_id: str
    store_id: str
    guide_id: str


class MoveLine(Struct, frozen=True, kw_only=True):
    """A transition, as ClickHouse holds it."""

    id: str
    user_id: str
    seq: int
    from_layer: str
    to_layer: str
    direction: str
    kind: str
    occurred_at: int
    effective_at: int
    late: bool
    cause_type: str
    channel: str
    campaign_id: str
    store_id: str
    guide_id: str


class FlowLine(Struct, frozen=True, kw_only=True):
    """How many distinct users, to about one in a hundred, and transitions went from one layer to another. Of a store or guide together with
    another label, in a period of over two million transitions, both are estimates (`warroom.sample`)."""

    from_layer: str
    to_layer: str
    users: int
    transitions: int


class Member(Struct, frozen=True, kw_only=True):
    """A user who stands in the layer asked for, since when, and the touchpoint that led there."""

    user_id: str
    layer: str
    since: int
    channel: str
    campaign_id: str


class Buyer(Struct, frozen=True, kw_only=True):
    """A user who bought within the span asked for."""

    user_id: str
    bought_at: int
    orders: int


class Lists(Star):
    """Star, and the lists. Every method raises StoreAway or StoreError."""

    def __init__(self, config: ClickHouse, *, seconds: int) -> None:
        super().__init__(config, max_execution_time=seconds)

    def order_lines(self, span: Span, limit: int, behind: Behind) -> list[OrderLine]:
        """Orders and refunds, latest first."""
        return self._structs(OrderLine, _ORDERS, {**span.bound(), **behind.bound(), "limit": limit})

    def move_lines(self, span: Span, from_layer: str, to_layer: str, limit: int, behind: Behind) -> list[MoveLine]:
        """Transitions, latest first."""
        layers = {"from_layer": from_layer, "to_layer": to_layer}
        return self._structs(MoveLine, _TRANSITIONS, {**span.bound(), **behind.bound(), **layers, "limit": limit})

    def history_lines(self, brand: str, user_id: str, limit: int, before: int | None) -> list[MoveLine]:
        """A user's transitions, latest first, those with a lower `seq` than `before`."""
        bound = {"brand": brand, "user_id": user_id, "limit": limit, "before": 2**63 if before is None else before}
        return self._structs(MoveLine, _HISTORY, bound)

    def flow_lines(self, span: Span) -> list[FlowLine]:
        """Who went where, from the sums per span and minute; of a store or guide together with other labels, of which there are none, from
        the transitions, of very many those of a sample of users."""
        if not (span.store_id or span.guide_id):
            return self._structs(FlowLine, _FLOWS, span.bound())
        if not (span.channel or span.campaign_id or (span.store_id and span.guide_id)):
            return self._structs(FlowLine, _FLOWS_OF_SHOP, span.bound())
        sample = self._sample(span)
        text = _FLOWS_OF_SAMPLE if sample.is_partial else _FLOWS_OF_RECORDS
        return self._structs(FlowLine, text, {**span.bound(), **sample._asdict()})

    def _sample(self, span: Span) -> Sample:
        """Of how many users to walk through the moves of a span."""
        return sample_of(sum(self._moved(span.brand, span.start, span.end).values()))

    def ledger_lines(self, brand: str, start: int, end: int, limit: int) -> list[LedgerLine]:
        """The first lines of the ledger of a period."""
        bound = {"brand": brand, "start": datetime64(start), "end": datetime64(end), "limit": limit}
        return self._structs(LedgerLine, _LEDGER, bound)

    def members(self, brand: str, layer: str, channel: str, campaign_id: str, limit: int, after: str) -> list[Member]:
        """Users in a layer, by id, from the one behind `after` on."""
        bound = {"brand": brand, "layer": layer, "channel": channel, "campaign_id": campaign_id, "limit": limit, "after": after}
        return self._structs(Member, _AUDIENCE, bound)

    def buyers(self, brand: str, start: int, end: int, limit: int, after: str) -> list[Buyer]:
        """Users who bought in a period, by id, from the one behind `after` on."""
        bound = {"brand": brand, "start": datetime64(start), "end": datetime64(end), "limit": limit, "after": after}
        return self._structs(Buyer, _SUPPRESSION, bound)

    def stored_watermark(self) -> int:
        """The event time that what is stored has reached, 0 before there is any."""
        return max((row.watermark for row in self.stored().values()), default=0)


class Span(Struct, frozen=True, kw_only=True):
    """A brand, a period from `start` to before `end`, and the labels to keep to; empty for any."""

    brand: str
    start: int
    end: int
    channel: str = ""
    campaign_id: str = ""
    store_id: str = ""
    guide_id: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether there are labels to keep to."""
        return bool(self.channel or self.campaign_id or self.store_id or self.guide_id)

    def bound(self) -> dict[str, Any]:
        """As the queries take it."""
        both = bool(self.channel and self.campaign_id)
        told_by = {"channel": self.channel, "campaign": self.campaign_id, "store": self.store_id, "guide": self.guide_id}
        return {
            "brand": self.brand,
            **bound_spans(self.start, self.end, minutes_only=both),
            "told_by": next((name for name, label in told_by.items() if label), "all"),
            "label": next((label for label in told_by.values() if label), ""),
            "channel": self.channel,
            "campaign_id": self.campaign_id,
            "store_id": self.store_id,
            "guide_id": self.guide_id,
        }


class Behind(Struct, frozen=True, kw_only=True):
    """Where a page begins: behind the first `skip` of the records at the instant `upto`, or from the latest on. It names nobody."""

    upto: int = LAST_MS
    skip: int = 0

    def bound(self) -> dict[str, Any]:
        """As the queries take it."""
        return {"upto": datetime64(self.upto), "skip": self.skip}

    def after(self, page: list[int]) -> Behind:
        """Behind a page of records at these instants, latest first."""
        last = page[-1]
        return Behind(upto=last, skip=page.count(last) + (self.skip if last == self.upto else 0))


LONGEST_MS = 400 * DAY_MS
"""The longest period that may be asked for."""
