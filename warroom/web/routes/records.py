"""Single records of a brand, latest first: orders, transitions, a user and their history."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.partition import partition_of
from schemas.times import LAST_MS
from streams.labels import Labels
from streams.state import State
from warroom.evidence import Evidence, evidence_of
from warroom.lists import Behind, MoveLine, OrderLine
from warroom.states import States
from warroom.web.call import CallOf
from warroom.web.cursors import decode_cursor, encode_cursor
from warroom.web.parameters import Brand, Cursor, LayerFilter, Limit, SpanAsked, UserId
from warroom.web.problems import Problem


class Orders(Struct, frozen=True, kw_only=True):
    """A page of orders; `next` leads to older ones, null at the end."""

    items: list[OrderLine]
    next: str | None


class Moves(Struct, frozen=True, kw_only=True):
    """A page of transitions; `next` leads to older ones, null at the end."""

    items: list[MoveLine]
    next: str | None


class UserStanding(Struct, frozen=True, kw_only=True):
    """A user as Redis knows them."""

    brand: str
    user_id: str
    evidence: Evidence


async def orders(
    call: CallOf,
    asked: SpanAsked,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Orders:
    """Orders and refunds of a period. Viewers see masked user ids."""
    span = asked()
    behind = _behind("orders", cursor)
    found = await call.room.pool.ask(lambda lists: lists.order_lines(span, limit + 1, behind))
    following = _following("orders", behind, [one.at for one in found], limit)
    return Orders(items=[msgspec.structs.replace(one, user_id=call.shown(one.user_id)) for one in found[:limit]], next=following)


async def transitions(
    call: CallOf,
    asked: SpanAsked,
    from_layer: LayerFilter = "",
    to_layer: LayerFilter = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Moves:
    """Transitions that took effect in a period. Viewers see masked user ids."""
    span = asked()
    behind = _behind("transitions", cursor)
    found = await call.room.pool.ask(lambda lists: lists.move_lines(span, from_layer, to_layer, limit + 1, behind))
    following = _following("transitions", behind, [one.effective_at for one in found], limit)
    return Moves(items=[msgspec.structs.replace(one, user_id=call.shown(one.user_id)) for one in found[:limit]], next=following)


async def user(call: CallOf, brand: Brand, user_id: UserId) -> UserStanding:
    """A user's layer, the evidence behind it, and where the brand touched them."""
    room = call.room
    shard = partition_of(user_id, room.partitions)
    key = f"{room.rules.brands[brand].key}:{user_id}"

    def read(states: States) -> tuple[State | None, list[str]]:
        return states.user(shard, key), states.labels(shard)

    state, labels = await room.pool.look(read)
    if state is None:
        raise Problem(404, "expected a user of this brand, found none with this id")
    found = evidence_of(state, room.rules, room.ladder, Labels(labels), brand, shard)
    return UserStanding(brand=brand, user_id=user_id, evidence=found)


async def history(call: CallOf, brand: Brand, user_id: UserId, cursor: Cursor = None, limit: Limit = 100) -> Moves:
    """How a user came where they are: their transitions."""
    place = decode_cursor("history", cursor, tuple[_Seq])
    before = None if place is None else place[0]
    found = await call.room.pool.ask(lambda lists: lists.history_lines(brand, user_id, limit + 1, before))
    following = encode_cursor("history", found[limit - 1].seq) if len(found) > limit else None
    return Moves(items=found[:limit], next=following)


_Instant = Annotated[int, Meta(ge=0, le=LAST_MS)]
_Seq = Annotated[int, Meta(ge=0, le=2**62)]
_Skip = Annotated[int, Meta(ge=0, le=1_000_000)]


def _behind(kind: str, cursor: str | None) -> Behind:
    place = decode_cursor(kind, cursor, tuple[_Instant, _Skip])
    return Behind() if place is None else Behind(upto=place[0], skip=place[1])


def _following(kind: str, behind: Behind, instants: list[int], limit: int) -> str | None:
    """Where the next page begins, if one record more was found than was asked for."""
    if len(instants) <= limit:
        return None
    place = behind.after(instants[:limit])
    return encode_cursor(kind, place.upto, place.skip)
