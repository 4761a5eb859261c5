"""How touchpoints change what is remembered of a user. Each function changes the state in place; all times relative to its base.

The final evidence is a function of the set of touchpoints, not of their order.
"""

from __future__ import annotations

from bisect import bisect_left

from schemas.touchpoint import Touchpoint
from streams.labels import Labels
from streams.state import MAX_ORDERS, MAX_REFUNDS, MAX_RELATIONS, OrderEntry, RelationEntry, State


def add_touch(state: State, slot: int, at: int, digest: int, keep: int) -> None:
    """An exposure or interaction. `keep` is the highest count asked for: above one, the latest `keep` (time, hash) are kept."""
    touch = state.touches[slot]
    if not touch:
        state.touches[slot] = [at, at, 1] if keep == 1 else [at, at, 1, at, digest]
        return
    if at < touch[0]:
        touch[0] = at
    if at > touch[1]:
        touch[1] = at
    touch[2] += 1
    if keep > 1:
        _keep_latest(touch, at, digest, keep)


def _keep_latest(touch: list[int], at: int, digest: int, keep: int) -> None:
    pairs = list(zip(touch[3::2], touch[4::2], strict=True))
    place = bisect_left(pairs, (at, digest))
    if place < len(pairs) and pairs[place] == (at, digest):
        return
    pairs.insert(place, (at, digest))
    touch[3:] = [value for pair in pairs[-keep:] for value in pair]


def change_relation(state: State, kind: int, relation_id: str, at: int, active: bool) -> int:
    """A join or leave: the later change wins, at equal times the leave. Returns how many relations went beyond the bound."""
    relations = state.relations
    if relations is None:
        state.relations = [RelationEntry(kind, relation_id, at, active)]
        return 0
    for relation in relations:
        if relation.id == relation_id and relation.kind == kind:
            if at > relation.at or (at == relation.at and not active):
                relation.at = at
                relation.active = active
            return 0
    relations.append(RelationEntry(kind, relation_id, at, active))
    return _trim(relations, MAX_RELATIONS)


def find_order(state: State, order_id: str) -> OrderEntry | None:
    """The user's order of that id, also one of which only a refund has come."""
    for order in state.orders or ():
        if order.id == order_id:
            return order
    return None


def add_purchase(state: State, order: OrderEntry | None, order_id: str, at: int, amount: int) -> tuple[int, int]:
    """A purchase that has not been bought yet; `order` is what a refund before it left. Returns (refunded now, dropped)."""
    if order is not None:
        order.at = at
        order.paid = amount
        return order.refunded, 0
    return 0, _add_order(state, OrderEntry(order_id, at, amount, []))


def add_refund(state: State, order: OrderEntry | None, order_id: str, at: int, digest: int, amount: int) -> tuple[int, int, int]:
    """A refund, told apart by its event id. Returns (by how much what counts as refunded grew, orders dropped, refunds dropped)."""
    if order is None:
        return 0, _add_order(state, OrderEntry(order_id, at, None, [digest, amount])), 0
    if digest in order.refunds[::2]:
        return 0, 0, 0
    before = order.refunded
    order.refunds += (digest, amount)
    grown = order.refunded - before
    surplus = len(order.refunds) - 2 * MAX_REFUNDS
    if surplus > 0:
        # What counts is min(paid, sum): the oldest two become one, so that nothing that was refunded is paid again.
        order.refunds[1:4] = [order.refunds[1] + order.refunds[3]]
        return grown, 0, surplus // 2
    return grown, 0, 0


def _add_order(state: State, order: OrderEntry) -> int:
    if state.orders is None:
        state.orders = [order]
        return 0
    state.orders.append(order)
    return _trim(state.orders, MAX_ORDERS)


def _trim(entries: list[RelationEntry] | list[OrderEntry], bound: int) -> int:
    surplus = len(entries) - bound
    if surplus > 0:
        del entries[:surplus]
        return surplus
    return 0


def note_touch(state: State, at: int, labels: Labels, touchpoint: Touchpoint) -> None:
    """Keeps the earliest and the latest touch; of touches at one instant the one whose labels sort first, or last."""
    last, first = state.last_at, state.first_at
    if last is None or at > last or (at == last and _labels_of(touchpoint) > _last(state, labels)):
        state.last_at = at
        state.last_channel = labels[touchpoint.channel]
        state.last_campaign = labels[touchpoint.campaign_id]
        state.last_store = labels[touchpoint.store_id]
        state.last_guide = labels[touchpoint.guide_id]
    if first is None or at < first or (at == first and _labels_of(touchpoint)[:2] < _first(state, labels)):
        state.first_at = at
        state.first_channel = labels[touchpoint.channel]
        state.first_campaign = labels[touchpoint.campaign_id]


def _labels_of(touchpoint: Touchpoint) -> tuple[str, ...]:
    return _text(touchpoint.channel, touchpoint.campaign_id, touchpoint.store_id, touchpoint.guide_id)


def _text(*labels: str | None) -> tuple[str, ...]:
    return tuple(label or "" for label in labels)


def _last(state: State, labels: Labels) -> tuple[str, ...]:
    refs = (state.last_channel, state.last_campaign, state.last_store, state.last_guide)
    return _text(*(labels.text(ref) for ref in refs))


def _first(state: State, labels: Labels) -> tuple[str, ...]:
    return _text(labels.text(state.first_channel), labels.text(state.first_campaign))
