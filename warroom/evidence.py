"""A user's state in words: the layer, the evidence behind it, where the brand touched them. Pure."""

from __future__ import annotations

from msgspec import Struct

from schemas.ladder import Ladder
from schemas.times import to_rfc3339
from streams.labels import Labels
from streams.ladder import RELATION_KINDS, Rules
from streams.state import State


class Touched(Struct, frozen=True, kw_only=True):
    """Touches of one kind of evidence: the first, the last, and how many (a repeat beyond the ring may count twice)."""

    evidence: str
    first: str
    last: str
    count: int


class Relation(Struct, frozen=True, kw_only=True):
    """A relation as its latest change left it."""

    kind: str
    id: str
    since: str
    active: bool


class Bought(Struct, frozen=True, kw_only=True):
    """An order. `paid` is null until its purchase has come; amounts in minor units."""

    order_id: str
    at: str
    paid: int | None
    refunded: int


class Place(Struct, frozen=True, kw_only=True):
    """When and where the brand touched the user."""

    at: str | None = None
    channel: str | None = None
    campaign_id: str | None = None
    store_id: str | None = None
    guide_id: str | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """What is remembered of a user. Times RFC 3339; `clock` is the time up to which the layer has been evaluated."""

    layer: str
    seq: int
    shard: int
    clock: str
    first_seen: str
    since: str | None
    currency: str
    touches: list[Touched]
    relations: list[Relation]
    orders: list[Bought]
    first_touch: Place
    last_touch: Place


def evidence_of(state: State, rules: Rules, ladder: Ladder, labels: Labels, brand: str, shard: int) -> Evidence:
    """A state as people read it."""

    def at(ms: int) -> str:
        return to_rfc3339(state.base + ms)

    def maybe(ms: int | None) -> str | None:
        return None if ms is None else at(ms)

    return Evidence(
        layer=ladder.layers[state.layer].id,
        seq=state.seq,
        shard=shard,
        clock=at(state.clock),
        first_seen=at(0),
        since=maybe(state.since),
        currency=ladder.currency_of(brand),
        touches=[
            Touched(evidence=name, first=at(touch[0]), last=at(touch[1]), count=touch[2])
            for name, touch in zip(rules.slots, state.touches, strict=True)
            if touch
        ],
        relations=[Relation(kind=RELATION_KINDS[r.kind], id=r.id, since=at(r.at), active=r.active) for r in state.relations or ()],
        orders=[Bought(order_id=o.id, at=at(o.at), paid=o.paid, refunded=o.refunded) for o in state.orders or ()],
        first_touch=Place(
            at=maybe(state.first_at), channel=labels.text(state.first_channel), campaign_id=labels.text(state.first_campaign)
        ),
        last_touch=Place(
            at=maybe(state.last_at),
            channel=labels.text(state.last_channel),
            campaign_id=labels.text(state.last_campaign),
            store_id=labels.text(state.last_store),
            guide_id=labels.text(state.last_guide),
        ),
    )
