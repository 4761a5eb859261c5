"""The shapes of the figures. Times are epoch milliseconds, money is in minor units, rates are fractions; None where nothing divides."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class By(StrEnum):
    """The dimension that a STAR table is split by."""

    ALL = "all"
    CHANNEL = "channel"
    CAMPAIGN = "campaign"
    STORE = "store"
    GUIDE = "guide"


class Scaling(Struct, frozen=True, kw_only=True):
    """Users of a layer at the period's end, against its beginning; `new_users` of them were first seen within."""

    split: str
    layer: str
    users: int
    users_before: int
    growth: float | None
    new_users: int
    known_users: int


class Triangulating(Struct, frozen=True, kw_only=True):
    """A layer's share of all users of its split, and of the crowd (all above the lowest layer; None for the lowest)."""

    split: str
    layer: str
    users: int
    users_before: int
    share: float | None
    share_before: float | None
    crowd_share: float | None
    growth: float | None


class Activating(Struct, frozen=True, kw_only=True):
    """Distinct users that left a layer for another within the period, over those in it when the period began."""

    split: str
    from_layer: str
    to_layer: str
    direction: str
    users: int
    transitions: int
    users_before: int
    rate: float | None


class Returning(Struct, frozen=True, kw_only=True):
    """What the period sold to buyers who stood in `layer` ("" for all of the split). `0005_star.sql` defines each figure. Of over two
    million orders refunds and what new buyers paid are estimates, repurchase where 90 days have as many (`warroom.sample`)."""

    split: str
    layer: str
    gmv: int
    gmv_share: float | None
    refunds: int
    orders: int
    buyers: int
    order_value: float | None
    stood: int
    conversion_rate: float | None
    repurchase_week: float | None
    repurchase_month: float | None
    repurchase_quarter: float | None
    spend: int | None
    roi: float | None
    gmv_new: int
    gmv_new_share: float | None


class StarTables(Struct, frozen=True, kw_only=True):
    """All STAR figures of a period."""

    scaling: list[Scaling]
    triangulating: list[Triangulating]
    activating: list[Activating]
    returning: list[Returning]


class LedgerLine(Struct, frozen=True, kw_only=True):
    """A layer in one minute: opening + users_in - users_out = closing."""

    minute: int
    layer: str
    opening: int
    users_in: int
    users_out: int
    closing: int
    provisional: bool


class Census(Struct, frozen=True, kw_only=True):
    """Users per layer as ClickHouse has them, lowest first; minutes before `final_before` will not change any more (0: none)."""

    layers: dict[str, int]
    final_before: int


class Orders(Struct, frozen=True, kw_only=True):
    """Purchases that were not duplicates, their buyers, what was paid before refunds, and what was refunded of it."""

    orders: int
    buyers: int
    gmv: int
    refunds: int


class Junk(Struct, frozen=True, kw_only=True):
    """Records of a channel and type beyond what one user may have in a minute, beside those applied; `share` of both together."""

    channel: str
    type: str
    touchpoints: int
    junk: int
    share: float


class StepSums(Struct, frozen=True, kw_only=True):
    """Sums over all steps of all shards, of input records of every brand."""

    steps: int
    applied: int
    duplicates: int
    junk: int
    late: int
    dead_letters: int
    forwarded: int
    ticks: int


class Stored(Struct, frozen=True, kw_only=True):
    """How far a shard is stored: its last step (rollup, transitions and all), its watermark and the turn it has swept to (0: none)."""

    version: int
    watermark: int
    swept_to: int


class Move(Struct, frozen=True, kw_only=True):
    """One transition of a user."""

    id: str
    seq: int
    from_layer: str
    to_layer: str
    direction: str
    kind: str
    occurred_at: int
    effective_at: int
    late: bool
    cause_type: str
    cause_event_id: str
    channel: str
    campaign_id: str
    store_id: str
    guide_id: str


class Violation(Struct, frozen=True, kw_only=True):
    """Figures of a brand that do not add up; `where` is a layer, a minute or a user."""

    brand: str
    where: str
    expected: str
    found: str
