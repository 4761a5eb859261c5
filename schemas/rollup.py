"""Rollups: what one step of a shard counted. One record a step, split where it would grow beyond `MAX_BYTES`.

Times are epoch milliseconds, minutes the epoch milliseconds at which they begin; both are event time.
"""

from __future__ import annotations

from msgspec import Struct

CE_TYPE = "rflow.rollup.v1"
MAX_BYTES = 900_000
"""Above this a rollup is split, below the 1 MB that brokers take by default."""


class TouchCount(Struct, array_like=True, gc=False):
    """Touchpoints of one minute that share brand, type, labels and the user's layer before; `users` are their distinct users,
    each as the upper 53 bits of the XXH3-64 hash of its id (so that any JSON reader takes them exactly)."""

    minute: int
    brand: str
    type: str
    channel: str | None
    campaign_id: str | None
    store_id: str | None
    layer_before: str
    touchpoints: int
    users: list[int]


class NewUsers(Struct, array_like=True, gc=False):
    """How many users of a brand were seen for the first time, dated at the minute of their starting clock."""

    minute: int
    brand: str
    users: int


class JunkCount(Struct, array_like=True, gc=False):
    """Records of one minute beyond what their users may have in it, by brand, type and channel. They were not applied."""

    minute: int
    brand: str
    type: str
    channel: str | None
    records: int


class TouchPlace(Struct, gc=False, kw_only=True):
    """When and where a touch was."""

    at: int
    channel: str | None = None
    campaign_id: str | None = None
    store_id: str | None = None
    guide_id: str | None = None


class OrderRow(Struct, gc=False, kw_only=True):
    """A purchase or refund that was applied. Amounts in minor units of `currency`.

    `amount` is the record's own; `refunded` is by how much this record changed what counts as refunded of its order,
    so that its sum over an order's rows is min(paid, sum of refunds), whatever the order of arrival.
    """

    event_id: str
    type: str
    brand: str
    user_id: str
    order_id: str
    occurred_at: int
    amount: int
    refunded: int
    currency: str
    layer_before: str
    first_seen: int
    channel: str | None = None
    campaign_id: str | None = None
    store_id: str | None = None
    guide_id: str | None = None
    first_touch: TouchPlace | None = None
    last_touch: TouchPlace | None = None
    layer_channel: str | None = None
    layer_store_id: str | None = None


class Rollup(Struct, gc=False, kw_only=True):
    """What step `version` of `shard` did. `index` counts the parts of a split rollup, the last of which has `last` set;
    counts that are not rows stand in the last part.

    `offsets` are the applied offsets of the input topics after the step, -1 for none; `swept_to` is the turn up to which every
    user's clock has been moved, null before the first.
    """

    shard: int
    version: int
    index: int
    last: bool
    ladder: str
    detected_at: int
    watermark: int | None
    swept_to: int | None
    touches: list[TouchCount]
    new_users: list[NewUsers]
    orders: list[OrderRow]
    junk_touches: list[JunkCount]
    offsets: dict[str, int]
    applied: int
    duplicates: int
    junk: int
    late: int
    dead_letters: dict[str, int]
    """by reason"""
    forwarded: int
    ticks: int
    transitions: int
    """of the whole step: their records come on another topic, in no order with this one"""
