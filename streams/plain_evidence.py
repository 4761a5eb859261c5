"""What the plain fold remembers of one user, and which conditions of a ladder that fulfils. No layer, no clock.

Everything stands in plain dicts and sorted lists and is walked whole at each question: this is the reading of the rules that a
faster one is held against, so it takes no short cut of its own but two. Of each touch evidence it keeps as many of the latest pieces as
the ladder ever counts: what is older could not change an answer at or after the latest piece. And it looks through a user's orders only
when one has come since.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from msgspec import Struct, field
from xxhash import xxh3_64_digest

from schemas.ladder import Condition, Evidence
from schemas.times import DAY_MS, from_datetime
from schemas.touchpoint import CATALOGUE, PURCHASE, REFUND, RELATIONS, Kind, Membership, Order, Touchpoint

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

MAX_ORDERS = 512
"""Orders kept of a user; beyond it the one that came first goes. An order known only by its refund counts."""

MAX_RELATIONS = 512
"""Relations kept of a user, ended ones included; beyond it the one that came first goes."""

MAX_REFUNDS = 512
"""Refunds told apart within an order; beyond it the two that came first are kept as one, under the first one's event id: nothing that was
refunded counts as paid again."""


class PlainOrder(Struct):
    """An order by what is known of it: `bought_at` is None while only refunds have come."""

    bought_at: int | None = None
    paid: int = 0
    refunds: dict[bytes, int] = field(default_factory=dict)

    @property
    def refunded(self) -> int:
        """What counts as refunded: never more than was paid, and nothing before the purchase."""
        return min(self.paid, sum(self.refunds.values()))

    @property
    def is_evidence(self) -> bool:
        return self.bought_at is not None and self.paid > self.refunded


class PlainRelation(Struct):
    """The latest change of a relation: when, by which type, and whether the relation is active since."""

    at: int
    type: str
    active: bool


class PlainTouch(Struct, frozen=True):
    """A touchpoint that was no reversal."""

    at: int
    channel: str | None
    campaign: str | None
    store: str | None
    guide: str | None

    @property
    def labels(self) -> tuple[str, ...]:
        """What decides between touches of one instant: the first is the one whose labels sort first, the last whose labels sort last."""
        return tuple(label or "" for label in (self.channel, self.campaign, self.store, self.guide))


class PlainEvidence:
    """The evidence of one user under a ladder's `evidence`, of which no condition counts more than `most` pieces."""

    def __init__(self, definitions: Mapping[str, Evidence], most: int) -> None:
        self._definitions = definitions
        self._most = most
        self.touches: dict[str, list[tuple[int, bytes]]] = {}
        self.relations: dict[tuple[str, str], PlainRelation] = {}
        self.orders: dict[str, PlainOrder] = {}
        self._bought: list[int] | None = None
        self.first_touch: PlainTouch | None = None
        self.last_touch: PlainTouch | None = None

    def has_bought(self, order_id: str) -> bool:
        """Whether the purchase of that order is among the orders kept."""
        order = self.orders.get(order_id)
        return order is not None and order.bought_at is not None

    def refunded(self, order_id: str) -> int:
        """What counts as refunded of that order so far."""
        order = self.orders.get(order_id)
        return order.refunded if order else 0

    def add(self, touchpoint: Touchpoint) -> None:
        """Take a touchpoint that is no duplicate. Adding the same one again changes nothing."""
        at, digest = millis(touchpoint.occurred_at), event_digest(touchpoint.event_id)
        if isinstance(touchpoint, Order):
            self._add_order(touchpoint, at, digest)
        elif isinstance(touchpoint, Membership):
            self._add_change(touchpoint, at)
        else:
            self._add_piece(touchpoint, at, digest)
        if not is_reversal(touchpoint.type):
            self._add_touch(touchpoint, at)

    def _add_order(self, record: Order, at: int, digest: bytes) -> None:
        self._bought = None
        order = self.orders.setdefault(record.order_id, PlainOrder())
        if record.type == PURCHASE:
            order.bought_at, order.paid = at, record.amount
        else:
            order.refunds.setdefault(digest, record.amount)
            _merge_first(order.refunds, MAX_REFUNDS)
        _drop_first(self.orders, MAX_ORDERS)

    def _add_change(self, record: Membership, at: int) -> None:
        """The later change wins, at equal times the one that ends the relation."""
        kind, active = RELATIONS[record.type]
        key = kind, record.relation_id
        known = self.relations.get(key)
        if known is None or at > known.at or (at == known.at and not active):
            self.relations[key] = PlainRelation(at, record.type, active)
        _drop_first(self.relations, MAX_RELATIONS)

    def _add_piece(self, record: Touchpoint, at: int, digest: bytes) -> None:
        for name, definition in self._definitions.items():
            if definition.topic is CATALOGUE[record.type] and _carries(definition, record.type):
                pieces = self.touches.setdefault(name, [])
                if (at, digest) not in pieces:
                    insort(pieces, (at, digest))
                del pieces[: -self._most]

    def _add_touch(self, record: Touchpoint, at: int) -> None:
        touch = PlainTouch(at, record.channel, record.campaign_id, record.store_id, record.guide_id)
        if self.first_touch is None or (at, touch.labels) < (self.first_touch.at, self.first_touch.labels):
            self.first_touch = touch
        if self.last_touch is None or (at, touch.labels) > (self.last_touch.at, self.last_touch.labels):
            self.last_touch = touch

    def times(self, name: str) -> list[int]:
        """The times of all pieces of the evidence called `name`, earliest first."""
        definition = self._definitions[name]
        if definition.topic is Kind.ORDER:
            if self._bought is None:
                self._bought = sorted(o.bought_at for o in self.orders.values() if o.bought_at is not None and o.is_evidence)
            return self._bought if _carries(definition, PURCHASE) else []
        if definition.topic is Kind.MEMBERSHIP:
            return sorted(r.at for r in self.relations.values() if r.active and _carries(definition, r.type))
        return [at for at, _ in self.touches.get(name, ())]

    def holds(self, condition: Condition, at: int) -> bool:
        """Whether enough pieces are valid at `at`: each from its own time on, until before its window's end."""
        times = [e for e in self.times(condition.evidence) if e <= at]
        if condition.window_days is not None:
            times = [e for e in times if at < e + condition.window_days * DAY_MS]
        return len(times) >= condition.count

    def breaking_piece(self, condition: Condition) -> int | None:
        """The time of the piece with which the condition stands and falls: the count-th latest, None where there are fewer."""
        times = self.times(condition.evidence)
        return times[-condition.count] if len(times) >= condition.count else None


def millis(at: int | datetime) -> int:
    """`occurred_at` in epoch milliseconds, whether or not it has been normalised."""
    return at if isinstance(at, int) else from_datetime(at)


def event_digest(event_id: str) -> bytes:
    """The 8 bytes that stand for an event id."""
    return xxh3_64_digest(event_id.encode())


def is_reversal(type_: str) -> bool:
    """Whether the type takes something back: such a touchpoint is no touch."""
    return type_ == REFUND or (type_ in RELATIONS and not RELATIONS[type_][1])


def _carries(definition: Evidence, type_: str) -> bool:
    return definition.types is None or type_ in definition.types


def _merge_first(refunds: dict[bytes, int], bound: int) -> None:
    if len(refunds) > bound:
        first, second = list(refunds)[:2]
        refunds[first] += refunds.pop(second)


def _drop_first(kept: dict[_Key, _Value], bound: int) -> None:
    """Hold `kept` to its bound: a dict lists its keys in the order in which they first came."""
    if len(kept) > bound:
        del kept[next(iter(kept))]
