"""How a promotion stands: original plan, current plan and actual side by side, where it will end, and what a shortfall is made of. Pure.

- *Original* is the first version, *current* the version in force at the instant shown (`warroom.pacing`).
- A cell's *headcount* is everybody who stood in the layer since the window began (`warroom.sales.Sales.heads`), summed over the labels that
  its leaf covers; its *conversion rate* is orders a head so far, its *order value* money an order, so that the three multiply to its GMV.
- Heads and orders are attributed alike: both count under the channel and store of the touchpoint that brought the user to the layer,
  wherever the order is placed. So whoever buys in a cell is among its heads. What each channel sold at its own tills is in the rankings.
- *Orders* planned are heads x conversion rate; a plan knows one order a buyer, so that is the plan of buyers too. Distinct buyers of the
  whole promotion are fewer where somebody buys twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from schemas.promotion import Promotion
from schemas.times import MINUTE_MS, to_rfc3339
from warroom.pacing import Projection, planned_by_minute, project
from warroom.sales import CellSales, Heads, MinuteSales
from warroom.shortfall import Shortfall, Sold, factors_of, shortfall
from warroom.shortfall_sentence import Label, sentence
from warroom.targets import Cell, Factors, Scope, cells, covering, in_force, owners, planned_orders


class Totals(Struct, frozen=True, kw_only=True):
    """One figure of the whole promotion. Money in minor units; `pace` is actual over planned so far, None where nothing is due.

    `original` and `current` are the targets of the whole window, `*_so_far` what is due of them. Order values are the same throughout.
    """

    original: float
    current: float
    original_so_far: float
    current_so_far: float
    actual: float | None
    pace: float | None
    projected: Projection | None


class CellProgress(Struct, frozen=True, kw_only=True):
    """One layer of one leaf of the target tree. Of `actual` None is what divides by nothing; rates of plans are of the whole window."""

    path: str
    channel: str | None
    store_id: str | None
    owner: str
    layer: str
    original: Factors | None
    current: Factors
    current_so_far: float
    actual_headcount: int
    actual_rate: float | None
    actual_order_value: float | None
    actual_orders: int
    actual_gmv: int


class Progress(Struct, frozen=True, kw_only=True):
    """All of it, at one instant (RFC 3339). `outside` is GMV that no cell of the target covers; `sentence` is by language."""

    promotion_id: str
    brand: str
    name: str
    currency: str
    at: str
    original_version: int
    version: int
    newest_version: int
    phase: str | None
    share_due: float
    gmv: Totals
    orders: Totals
    buyers: Totals
    order_value: Totals
    cells: tuple[CellProgress, ...]
    shortfall: Shortfall
    outside: int
    sentence: dict[str, str]


class Actual(Struct, frozen=True, kw_only=True):
    """What `warroom.sales` says of the window up to the instant shown."""

    minutes: Sequence[MinuteSales]
    cells: Sequence[CellSales]
    heads: Sequence[Heads]


def progress(versions: list[Promotion], actual: Actual, at_ms: int, *, currency: str, label: Label) -> Progress:
    """How the promotion (all versions, oldest first) stands at a whole minute."""
    first, now = versions[0], in_force(versions, at_ms)
    due = now.share_at(at_ms)
    sold, outside = sold_by_cell(now, actual)
    found = shortfall(cells(now.target), due, sold, outside)
    gmv, orders, buyers = (series(now, actual.minutes, at_ms, of) for of in (gmv_of, orders_of, _buyers))
    money = _totals(first, now, at_ms, lambda version: float(version.target.gmv), gmv)
    placed = _totals(first, now, at_ms, lambda version: planned_orders(version.target), orders)
    return Progress(
        promotion_id=now.promotion_id,
        brand=now.brand,
        name=now.name,
        currency=currency,
        at=to_rfc3339(at_ms),
        original_version=first.version,
        version=now.version,
        newest_version=versions[-1].version,
        phase=next((phase.phase.value for phase in now.phases if phase.from_ms <= at_ms < phase.to_ms), None),
        share_due=due,
        gmv=money,
        orders=placed,
        buyers=_totals(first, now, at_ms, lambda version: planned_orders(version.target), buyers),
        order_value=_order_value(first, now, money, placed),
        cells=tuple(_cells(first, now, due, sold)),
        shortfall=found,
        outside=outside,
        sentence={"zh": sentence(found, label, currency, "zh"), "en": sentence(found, label, currency, "en")},
    )


def sold_by_cell(promotion: Promotion, actual: Actual) -> tuple[dict[Cell, Sold], int]:
    """What each cell of the target has sold to how many heads, and the GMV that falls under none of them."""
    scopes = list(owners(promotion.target))
    wanted = cells(promotion.target)
    heads, orders, gmv = dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0)
    outside = 0
    for one in actual.heads:
        cell = _cell(scopes, one.channel, one.store_id, one.layer)
        if cell in heads:
            heads[cell] += one.users
    for row in actual.cells:
        cell = _cell(scopes, row.channel, row.store_id, row.layer)
        if cell in gmv:
            orders[cell] += row.orders
            gmv[cell] += row.gmv
        else:
            outside += row.gmv
    return {cell: Sold(heads[cell], orders[cell], gmv[cell]) for cell in wanted}, outside


def needs_stores(promotion: Promotion) -> bool:
    """Whether the target goes down to stores, so that headcounts must."""
    return any(scope.store_id is not None for scope in owners(promotion.target))


def _cell(scopes: list[Scope], channel: str, store_id: str, layer: str) -> Cell | None:
    scope = covering(scopes, channel, store_id)
    return None if scope is None else Cell(scope, layer)


def gmv_of(minute: MinuteSales, _before: int) -> float:
    """GMV of a minute, minor units."""
    return minute.gmv


def orders_of(minute: MinuteSales, _before: int) -> float:
    """Orders of a minute."""
    return minute.orders


def _buyers(minute: MinuteSales, before: int) -> float:
    return minute.buyers_so_far - before


def series(now: Promotion, minutes: Sequence[MinuteSales], at_ms: int, of: Callable[[MinuteSales, int], float]) -> list[float]:
    """A figure by minute, from the window's begin to before `at_ms`, minutes without sales included."""
    begin, end = now.window.from_ms, min(at_ms, now.window.to_ms)
    found: dict[int, float] = {}
    before = 0
    for minute in minutes:
        found[minute.minute] = of(minute, before)
        before = minute.buyers_so_far
    return [found.get(at, 0.0) for at in range(begin, end, MINUTE_MS)]


def _totals(first: Promotion, now: Promotion, at_ms: int, target: Callable[[Promotion], float], series: list[float]) -> Totals:
    due = now.share_at(at_ms)
    reached, wanted = sum(series), target(now)
    return Totals(
        original=target(first),
        current=wanted,
        original_so_far=target(first) * first.share_at(at_ms),
        current_so_far=wanted * due,
        actual=reached,
        pace=reached / (wanted * due) if wanted * due else None,
        projected=project(series, planned_by_minute(now, at_ms), 1 - due),
    )


def _order_value(first: Promotion, now: Promotion, gmv: Totals, orders: Totals) -> Totals:
    """Money an order, planned and actual; it does not grow with time, so nothing is projected."""
    original = first.target.gmv / (planned_orders(first.target) or 1)
    current = now.target.gmv / (planned_orders(now.target) or 1)
    actual = (gmv.actual or 0.0) / orders.actual if orders.actual else None
    return Totals(
        original=original,
        current=current,
        original_so_far=original,
        current_so_far=current,
        actual=actual,
        pace=actual / current if actual is not None and current else None,
        projected=None,
    )


def _cells(first: Promotion, now: Promotion, due: float, sold: Mapping[Cell, Sold]) -> list[CellProgress]:
    original, responsible = cells(first.target), owners(now.target)
    found = []
    for cell, factors in cells(now.target).items():
        heads, rate, value = factors_of(sold[cell])
        found.append(
            CellProgress(
                path=cell.path,
                channel=cell.scope.channel,
                store_id=cell.scope.store_id,
                owner=responsible[cell.scope],
                layer=cell.layer,
                original=original.get(cell),
                current=factors,
                current_so_far=factors.gmv * due,
                actual_headcount=round(heads or 0),
                actual_rate=rate,
                actual_order_value=value,
                actual_orders=sold[cell].orders,
                actual_gmv=sold[cell].gmv,
            )
        )
    return found
