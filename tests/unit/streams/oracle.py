"""What a user's layer, touches and money are by definition: questions put to the bare set of touchpoints, no state, no order."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.ladder import Condition, Ladder
from schemas.times import DAY_MS
from schemas.touchpoint import CATALOGUE, RELATIONS, Kind, Membership, Order, Touchpoint
from streams.plain import PlainFigures


def layer_of(ladder: Ladder, brand: str, history: Iterable[Touchpoint], t: int) -> str:
    """The highest layer of one user of `brand` at `t`, who has done `history`, in any order and with repetitions."""
    distinct = _distinct(history)
    found = ladder.layers[0].id
    for layer, conditions in zip(ladder.layers, ladder.conditions(brand), strict=True):
        if any(_valid(ladder, condition, distinct, t) >= condition.count for condition in conditions):
            found = layer.id
    return found


def figures_of(records: Iterable[Touchpoint]) -> PlainFigures:
    """The money of all users, of records that do not contradict each other."""
    figures = PlainFigures()
    users: dict[tuple[str, str], list[Touchpoint]] = {}
    for record in records:
        users.setdefault((record.brand, record.user_id), []).append(record)
    for history in users.values():
        purchases = _purchases(_distinct(history))
        figures.purchases += len(purchases)
        figures.buyers += bool(purchases)
        figures.gmv += sum(paid for _, paid, _ in purchases)
        figures.refunds += sum(min(paid, refunds) for _, paid, refunds in purchases)
    return figures


def _distinct(history: Iterable[Touchpoint]) -> list[Touchpoint]:
    return list({touchpoint.event_id: touchpoint for touchpoint in history}.values())


def _valid(ladder: Ladder, condition: Condition, history: list[Touchpoint], t: int) -> int:
    """How many pieces of the evidence hold at `t`."""
    window = condition.window_days
    return sum(e <= t and (window is None or t < e + window * DAY_MS) for e in _times(ladder, condition.evidence, history))


def _times(ladder: Ladder, name: str, history: list[Touchpoint]) -> list[int]:
    topic, types = ladder.evidence[name].topic, ladder.evidence[name].types
    if topic is Kind.ORDER:
        return [at for at, paid, refunds in _purchases(history) if paid > refunds]
    if topic is Kind.MEMBERSHIP:
        return [_at(c) for c in _last_changes(history) if RELATIONS[c.type][1] and (types is None or c.type in types)]
    return [_at(t) for t in history if CATALOGUE[t.type] is topic and (types is None or t.type in types)]


def _purchases(history: list[Touchpoint]) -> list[tuple[int, int, int]]:
    """(time, paid, sum of refunds) of every purchase."""
    orders = [o for o in history if isinstance(o, Order)]
    refunds = [o for o in orders if o.type == "refund"]
    return [(_at(o), o.amount, sum(r.amount for r in refunds if r.order_id == o.order_id)) for o in orders if o.type == "purchase"]


def _last_changes(history: list[Touchpoint]) -> list[Membership]:
    """The latest change of each relation, at equal times the one that ends it."""
    changes = [c for c in history if isinstance(c, Membership)]
    ordered = sorted(changes, key=lambda c: (c.occurred_at, not RELATIONS[c.type][1]))
    return list({(RELATIONS[c.type][0], c.relation_id): c for c in ordered}.values())


def _at(touchpoint: Touchpoint) -> int:
    assert isinstance(touchpoint.occurred_at, int)
    return touchpoint.occurred_at
