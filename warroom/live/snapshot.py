"""The snapshot, as the screen gets it. Times are epoch milliseconds, money minor units, rates fractions; null where nothing divides.

Windows are whole minutes of event time that end with the minute of the watermark, which is still running.
"""

from __future__ import annotations

from msgspec import Struct

from warroom.live.freshness import Freshness


class AsOf(Struct, frozen=True, kw_only=True):
    """How old the figures are.

    `computed_at` is when ClickHouse was asked. `watermark` is the event time that what is stored has reached (of the shard furthest
    ahead, `watermark_low` of the one furthest behind); `version` is the number of steps stored, of all shards. `headcount_at` is when
    Redis told the headcounts, null if it never did. `final_before`: minutes before it will not change any more.
    """

    computed_at: int
    watermark: int | None
    watermark_low: int | None
    version: int
    headcount_at: int | None
    final_before: int | None


class Rung(Struct, frozen=True, kw_only=True):
    """One layer now. `entered` and `left` are transitions of the last hour, into R0 also users first seen; `change` is their difference.

    `share` is of all users, `crowd_share` of those above the lowest layer.
    """

    layer: str
    users: int
    share: float | None
    crowd_share: float | None
    entered: int
    left: int
    change: int


class Flow(Struct, frozen=True, kw_only=True):
    """Moves from one layer to another within a window.

    `users` are distinct. `rate` is users over those who stood in `from_layer` when the window began. `usual` is how many transitions the
    same flow had in a span as long as this window's on average over the day before the last hour (as far back as there are any),
    `usual_rate` that over the same standing users, `against_usual` is `transitions` over `usual`.
    """

    from_layer: str
    to_layer: str
    direction: str
    users: int
    transitions: int
    rate: float | None
    usual: float | None
    usual_rate: float | None
    against_usual: float | None


class FlowWindow(Struct, frozen=True, kw_only=True):
    """The flows of the last `minutes` minutes, every pair of layers that anybody moved between, lately or usually."""

    minutes: int
    begins: int
    ends: int
    flows: list[Flow]


class Minutes(Struct, frozen=True, kw_only=True):
    """A row a minute, column by column, oldest first; the last minute is still running."""

    begins: int
    orders: list[int]
    gmv: list[int]
    gmv_new: list[int]
    refunds: list[int]
    buyers: list[int]
    new_users: list[int]
    touches: list[int]
    moves_forward: list[int]
    moves_reverse: list[int]


class Ranked(Struct, frozen=True, kw_only=True):
    """One channel, campaign, store or guide of the last hour; `label` is empty for what carries none."""

    label: str
    users_forward: int
    users_reverse: int
    orders: int
    buyers: int
    gmv: int
    gmv_new: int


class Rankings(Struct, frozen=True, kw_only=True):
    """The last hour's best by GMV, then by users moved forward."""

    minutes: int
    channels: list[Ranked]
    campaigns: list[Ranked]
    stores: list[Ranked]
    guides: list[Ranked]


class Spent(Struct, frozen=True, kw_only=True):
    """What a channel cost today, and what it sold. `roi` is GMV over spend."""

    channel: str
    spend: int
    gmv: int
    roi: float | None


class LayerSales(Struct, frozen=True, kw_only=True):
    """What was sold today to buyers who stood in `layer` before."""

    layer: str
    orders: int
    buyers: int
    gmv: int


class Today(Struct, frozen=True, kw_only=True):
    """The brand's day so far, from midnight in its time zone. New buyers were first seen in the 24 hours before the purchase.

    Moves are transitions: who moves twice counts twice.
    """

    begins: int
    orders: int
    buyers: int
    gmv: int
    refunds: int
    order_value: float | None
    gmv_new: int
    gmv_new_share: float | None
    new_users: int
    moves_forward: int
    moves_reverse: int
    spend: int
    roi: float | None
    layers: list[LayerSales]
    channels: list[Spent]


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything a wall screen of one brand shows, at one instant. `sequence` grows by one a snapshot of this process."""

    brand: str
    sequence: int
    currency: str
    time_zone: str
    as_of: AsOf
    freshness: Freshness
    users: int
    ladder: list[Rung]
    flows: list[FlowWindow]
    minutes: Minutes
    today: Today
    rankings: Rankings


class Pulse(Struct, frozen=True, kw_only=True):
    """What is told when there is no new snapshot: how it stands, and how old the last snapshot is."""

    brand: str
    sequence: int
    at: int
    computed_at: int | None
    watermark: int | None
    freshness: Freshness
