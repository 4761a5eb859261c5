"""What a period sold, by the layer that the buyers stood in: the STAR table `returning`, put together from sums and one walk over orders.

Pure. What each figure means is in `sinks/migrations/0005_star.sql`, whose view `star_returning` says the same, more slowly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from warroom.figures import By, Returning


class Sums(Struct, frozen=True, kw_only=True):
    """Purchases of a split by buyers who stood in a layer; minor units. `gmv_new` is of who was first seen within the period."""

    split: str
    layer: str
    orders: int
    gmv: int
    gmv_new: int = 0


class Buyers(Struct, frozen=True, kw_only=True):
    """How many `users` of a split did alike: their purchases in the last 7, 30 and 90 days (2: two or more), and a bit for each layer, by
    number, in which they stood when they bought within the period."""

    split: str
    in_week: int
    in_month: int
    in_quarter: int
    layers: int
    users: int


class Sold(Struct, frozen=True, kw_only=True):
    """All of a period; `layers` lowest first, `refunds` by split and layer, `spend` by split, None by a dimension that it does not have.
    `buyers` may be a sample, for what is a share of them: then `counted` has how many there are by split and layer ("" all). Refunds and
    `gmv_new` may be estimates."""

    by: By
    layers: list[str]
    sums: list[Sums]
    refunds: Mapping[tuple[str, str], int]
    buyers: list[Buyers]
    spend: Mapping[str, int] | None
    counted: Mapping[tuple[str, str], int] | None = None


def returning(sold: Sold, stood: Mapping[str, int]) -> list[Returning]:
    """The table: of every split its total (layer "") and every layer; `stood` tells users by layer."""
    sums = {(one.split, one.layer): one for one in sold.sums}
    buyers: dict[str, list[Buyers]] = {}
    for group in sold.buyers:
        buyers.setdefault(group.split, []).append(group)
    nobody = "all" if sold.by == By.ALL else ""
    splits = sorted({nobody, *buyers, *(one.split for one in sold.sums), *(sold.spend or ())})
    return [line for split in splits for line in _lines(sold, split, sums, buyers.get(split, []), stood)]


def _lines(
    sold: Sold, split: str, sums: Mapping[tuple[str, str], Sums], groups: Sequence[Buyers], stood: Mapping[str, int]
) -> Iterable[Returning]:
    nothing = Sums(split=split, layer="", orders=0, gmv=0, gmv_new=0)
    of_layers = [sums.get((split, layer), nothing) for layer in sold.layers]
    total = Sums(
        split=split,
        layer="",
        orders=sum(one.orders for one in of_layers),
        gmv=sum(one.gmv for one in of_layers),
        gmv_new=sum(one.gmv_new for one in of_layers),
    )
    refunds = [sold.refunds.get((split, layer), 0) for layer in sold.layers]
    spend = None if sold.spend is None else sold.spend.get(split, 0)
    for number, (layer, one) in enumerate(zip(["", *sold.layers], [total, *of_layers], strict=True), start=-1):
        whole = number < 0
        users = (
            sum(group.users for group in groups if (group.layers if whole else group.layers >> number & 1))
            if sold.counted is None
            else sold.counted.get((split, layer), 0)
        )
        users = min(users, one.orders)  # a sample's may be more
        cost = spend if whole else None
        there = stood.get(layer, 0)
        yield Returning(
            split=split,
            layer=layer,
            gmv=one.gmv,
            gmv_share=_over(one.gmv, total.gmv),
            refunds=sum(refunds) if whole else refunds[number],
            orders=one.orders,
            buyers=users,
            order_value=_over(one.gmv, one.orders),
            stood=there,
            conversion_rate=_over(users, there),
            repurchase_week=_again((group.in_week, group.users) for group in groups) if whole else None,
            repurchase_month=_again((group.in_month, group.users) for group in groups) if whole else None,
            repurchase_quarter=_again((group.in_quarter, group.users) for group in groups) if whole else None,
            spend=cost,
            roi=_over(one.gmv, cost) if cost else None,
            gmv_new=one.gmv_new,
            gmv_new_share=_over(one.gmv_new, one.gmv),
        )


def _again(groups: Iterable[tuple[int, int]]) -> float | None:
    """Of those who bought, the part that bought at least twice."""
    bought = again = 0
    for purchases, users in groups:
        bought += users if purchases else 0
        again += users if purchases > 1 else 0
    return _over(again, bought)


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None
