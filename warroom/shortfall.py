"""What a shortfall is made of: planned minus actual GMV, cell by cell and factor by factor. Pure.

A cell's GMV is headcount x conversion rate x order value, so the difference of two such products is split over the three factors by the
Shapley value (Shapley 1953; for products of factors: Albrecht, Francois and Schoors 2002, "A Shapley decomposition of carbon emissions
without residuals"): each factor's effect is its difference times the mean, over all orders in which the factors could have changed one
after another, of the product of the others:

    effect(h) = (h0 - h1) x [r0 v0 / 3 + (r1 v0 + r0 v1) / 6 + r1 v1 / 3]

and alike for r and v. The three add up to h0 r0 v0 - h1 r1 v1 exactly, nothing is left over, and no order is preferred. A factor's effect
has the sign of its own difference, so a sentence about it never contradicts the figures it names.

The plan *so far* is what is held against the actual figures: headcount and order value as planned, the conversion rate times the share of
the target that is due. Where the actual side has no heads or no orders a factor is not there to be compared; it counts as planned, and the
factors that are there carry the whole difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from warroom.targets import Cell, Factors, Scope


class Factor(StrEnum):
    """What a cell's GMV is made of."""

    HEADCOUNT = "headcount"
    CONVERSION_RATE = "conversion_rate"
    ORDER_VALUE = "order_value"


class Sold(Struct, frozen=True):
    """What a cell has sold to how many heads; GMV in minor units."""

    headcount: int
    orders: int
    gmv: int


class Contribution(Struct, frozen=True, kw_only=True):
    """How much GMV is `missing` (minor units; negative: more than planned) for one factor of one cell.

    `planned` is so far; `actual` is None where there is none to compare.
    """

    scope: Scope
    layer: str
    factor: Factor
    planned: float
    actual: float | None
    missing: float


class Shortfall(Struct, frozen=True, kw_only=True):
    """Planned so far minus actual, minor units: `missing` = the sum of `contributions` - `outside`.

    `outside` was sold to buyers that no cell of the target covers. `contributions` come largest in size first.
    """

    planned: float
    actual: float
    missing: float
    outside: float
    contributions: tuple[Contribution, ...]

    def by_scope(self) -> dict[Scope, float]:
        """What is missing by leaf of the target, largest first."""
        sums: dict[Scope, float] = {}
        for one in self.contributions:
            sums[one.scope] = sums.get(one.scope, 0.0) + one.missing
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def factors_of(sold: Sold) -> tuple[float | None, float | None, float | None]:
    """Heads, orders a head, money an order; None where nothing divides."""
    return (
        float(sold.headcount) if sold.headcount else None,
        sold.orders / sold.headcount if sold.headcount else None,
        sold.gmv / sold.orders if sold.orders else None,
    )


def shortfall(target: Mapping[Cell, Factors], share: float, sold: Mapping[Cell, Sold], outside: int = 0) -> Shortfall:
    """Hold what was sold against the `share` of the target that is due. `sold` is of the target's cells; `outside` of none of them."""
    found: list[Contribution] = []
    planned = 0.0
    for cell, full in target.items():
        due = Factors(full.headcount, full.conversion_rate * share, full.order_value)
        planned += due.gmv
        found += _of_cell(cell, due, sold.get(cell, Sold(0, 0, 0)))
    actual = float(sum(sold[cell].gmv for cell in target if cell in sold) + outside)
    return Shortfall(
        planned=planned,
        actual=actual,
        missing=planned - actual,
        outside=float(outside),
        contributions=tuple(sorted(found, key=lambda one: -abs(one.missing))),
    )


def _of_cell(cell: Cell, due: Factors, sold: Sold) -> list[Contribution]:
    actual = factors_of(sold)
    plan = (due.headcount, due.conversion_rate, due.order_value)
    values: tuple[float, float, float]
    if sold.headcount:
        values = (float(sold.headcount), sold.orders / sold.headcount, plan[2] if actual[2] is None else actual[2])
    elif sold.orders and due.headcount:
        # orders without heads: the heads count as planned, the rate is what makes so many orders of them
        values = (due.headcount, sold.orders / due.headcount, sold.gmv / sold.orders)
    elif sold.orders:
        values = (float(sold.orders), 1.0, sold.gmv / sold.orders)
    else:
        values = (0.0, plan[1], plan[2])
    missing = effects(plan, values)
    return [
        Contribution(scope=cell.scope, layer=cell.layer, factor=factor, planned=plan[i], actual=actual[i], missing=missing[i])
        for i, factor in enumerate(Factor)
    ]


def effects(planned: tuple[float, float, float], actual: tuple[float, float, float]) -> tuple[float, float, float]:
    """The Shapley value of each factor of a product: the three add up to the product of `planned` less that of `actual`."""

    def effect(i: int) -> float:
        (b0, b1), (c0, c1) = ((planned[j], actual[j]) for j in range(3) if j != i)
        return (planned[i] - actual[i]) * (b0 * c0 / 3 + (b1 * c0 + b0 * c1) / 6 + b1 * c1 / 3)

    return effect(0), effect(1), effect(2)
