"""Touchpoints: the events rflow reads. One struct per topic, and the catalogue of types.

To add a touchpoint type, add a line to `CATALOGUE`: the ladder, the validator, the JSON Schema and the simulator follow it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from schemas.times import LAST_MS

MAX_BYTES = 65_536
"""The largest message taken, in bytes."""

MAX_AMOUNT = 10**15
"""The largest amount of one order, in minor units: the sum of nine thousand such still fits 64 bits."""

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Millis = Annotated[int, Meta(ge=0, le=LAST_MS)]
Instant = Millis | Annotated[datetime, Meta(tz=True)]
Amount = Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]


class Kind(StrEnum):
    """What a touchpoint is by nature; each kind has its topic, and this order breaks ties of time between topics."""

    EXPOSURE = "exposure"
    INTERACTION = "interaction"
    MEMBERSHIP = "membership"
    ORDER = "order"

    @property
    def topic(self) -> str:
        return f"touchpoints.{self.value}"


KINDS: tuple[Kind, ...] = tuple(Kind)

TICK = "tick"

CATALOGUE: dict[str, Kind] = {
    "ad_exposure": Kind.EXPOSURE,
    "content_view": Kind.EXPOSURE,
    "qr_scan": Kind.INTERACTION,
    "ad_click": Kind.INTERACTION,
    "mini_program_visit": Kind.INTERACTION,
    "live_watch": Kind.INTERACTION,
    "search": Kind.INTERACTION,
    "like": Kind.INTERACTION,
    "comment": Kind.INTERACTION,
    "share": Kind.INTERACTION,
    "group_join": Kind.MEMBERSHIP,
    "group_leave": Kind.MEMBERSHIP,
    "account_follow": Kind.MEMBERSHIP,
    "account_unfollow": Kind.MEMBERSHIP,
    "contact_add": Kind.MEMBERSHIP,
    "contact_remove": Kind.MEMBERSHIP,
    "member_register": Kind.MEMBERSHIP,
    "member_cancel": Kind.MEMBERSHIP,
    "purchase": Kind.ORDER,
    "refund": Kind.ORDER,
}
"""Every touchpoint type and its kind."""

RELATIONS: dict[str, tuple[str, bool]] = {
    "group_join": ("group", True),
    "group_leave": ("group", False),
    "account_follow": ("account", True),
    "account_unfollow": ("account", False),
    "contact_add": ("contact", True),
    "contact_remove": ("contact", False),
    "member_register": ("member", True),
    "member_cancel": ("member", False),
}
"""Membership types: the kind of relation they concern, and whether it is active after them."""

PURCHASE = "purchase"
REFUND = "refund"


class Touchpoint(Struct, gc=False, kw_only=True):
    """What every touchpoint carries. `occurred_at` is epoch milliseconds, or a datetime before it is normalised."""

    event_id: Id
    type: Id
    brand: Id
    user_id: Id
    occurred_at: Instant
    channel: Id | None = None
    campaign_id: Id | None = None
    store_id: Id | None = None
    guide_id: Id | None = None
    content_id: Id | None = None
    attributes: dict[str, object] | None = None


class Exposure(Touchpoint, gc=False, kw_only=True):
    """A user was shown something of the brand."""


class Interaction(Touchpoint, gc=False, kw_only=True):
    """A user reacted lightly: a scan, a click, a visit, a search."""


class Membership(Touchpoint, gc=False, kw_only=True):
    """A user entered or left a relation with the brand; `relation_id` names the group, account, contact or club."""

    relation_id: Id


class Order(Touchpoint, gc=False, kw_only=True):
    """A purchase, or a refund of `amount` of the purchase with the same `order_id`. Amounts in minor units."""

    order_id: Id
    amount: Amount
    currency: Id | None = None


class Tick(Struct, gc=False, tag_field="type", tag=TICK):
    """Says that its log has reached `occurred_at`; touches no user."""

    occurred_at: Instant


STRUCTS: dict[Kind, type[Touchpoint]] = {
    Kind.EXPOSURE: Exposure,
    Kind.INTERACTION: Interaction,
    Kind.MEMBERSHIP: Membership,
    Kind.ORDER: Order,
}
