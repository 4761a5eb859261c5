"""A target after an earlier promotion: what each layer did then, grown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from schemas.promotion import LayerTarget, Target
from warroom.sales import CellSales, Heads


class NothingSold(ValueError):
    """Nothing was sold that a target could be like."""


def target_like(cells: Sequence[CellSales], heads: Sequence[Heads], growth: float, owner: str) -> Target:
    """A target of the whole brand: of each layer that bought, headcount grown by `growth`, conversion rate and order value as they were.

    Raises NothingSold.
    """
    orders: Counter[str] = Counter()
    gmv: Counter[str] = Counter()
    users: Counter[str] = Counter()
    for cell in cells:
        orders[cell.layer] += cell.orders
        gmv[cell.layer] += cell.gmv
    for head in heads:
        users[head.layer] += head.users
    layers = tuple(_layer(layer, users[layer], orders[layer], gmv[layer], growth) for layer in sorted(orders) if gmv[layer])
    if not layers:
        raise NothingSold("expected an earlier promotion with sales, found none")
    return Target(owner=owner, layers=layers)


def _layer(layer: str, users: int, orders: int, gmv: int, growth: float) -> LayerTarget:
    """Who ordered was there: never fewer heads than orders, so that a rate stays a rate."""
    heads = max(users, orders)
    return LayerTarget(layer=layer, headcount=round(heads * growth), conversion_rate=orders / heads, order_value=round(gmv / orders))
