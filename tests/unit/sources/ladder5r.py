"""The 5R ladder once more, in few lines and for one day without decay: who stands where, and which steps were made."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from schemas.touchpoint import CATALOGUE, PURCHASE, RELATIONS, Kind, Membership, Order, Touchpoint


@dataclass
class Person:
    seen: bool = False
    responded: bool = False
    relations: set[tuple[str, str]] = field(default_factory=set)
    paid: dict[str, int] = field(default_factory=dict)
    refunded: Counter[str] = field(default_factory=Counter)

    @property
    def layer(self) -> int:
        orders = sum(paid > self.refunded[order] for order, paid in self.paid.items())
        if orders:
            return 5 if orders > 1 else 4
        return 3 if self.relations else 2 if self.responded else 1 if self.seen else 0

    def apply(self, touchpoint: Touchpoint) -> None:
        if isinstance(touchpoint, Order):
            if touchpoint.type == PURCHASE:
                self.paid.setdefault(touchpoint.order_id, touchpoint.amount)
            else:
                self.refunded[touchpoint.order_id] += touchpoint.amount
        elif isinstance(touchpoint, Membership):
            kind, active = RELATIONS[touchpoint.type]
            (self.relations.add if active else self.relations.discard)((kind, touchpoint.relation_id))
        elif CATALOGUE[touchpoint.type] is Kind.INTERACTION:
            self.responded = True
        else:
            self.seen = True


class Ladder5R:
    """`steps` are (time, brand, channel, `R1>R2`) in the order of `apply`."""

    def __init__(self) -> None:
        self.people: defaultdict[tuple[str, str], Person] = defaultdict(Person)
        self.steps: list[tuple[int, str, str | None, str]] = []

    @property
    def flows(self) -> Counter[str]:
        return Counter(step for *_, step in self.steps)

    def apply(self, touchpoint: Touchpoint) -> None:
        person = self.people[touchpoint.brand, touchpoint.user_id]
        before = person.layer
        person.apply(touchpoint)
        if person.layer != before:
            assert isinstance(touchpoint.occurred_at, int)
            step = f"R{before}>R{person.layer}"
            self.steps.append((touchpoint.occurred_at, touchpoint.brand, touchpoint.channel, step))
