"""A promotion's minutes beside the same clock time of an earlier one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.promotion import Promotion
from schemas.times import MINUTE_MS
from warroom.pacing import same_clock
from warroom.sales import MinuteSales


class Beside(Struct, frozen=True, kw_only=True):
    """Orders and GMV (minor units) in steps of `step_minutes`: of this promotion up to the instant shown, of the earlier one over all of
    this one's window. Times are epoch milliseconds; `earlier_*` are null and empty where there is no earlier one.
    """

    promotion_id: str
    earlier_id: str | None
    begins: int
    earlier_begins: int | None
    step_minutes: int
    orders: list[int]
    gmv: list[int]
    earlier_orders: list[int]
    earlier_gmv: list[int]


def beside(
    now: Promotion,
    minutes: Sequence[MinuteSales],
    earlier: Promotion | None,
    earlier_minutes: Sequence[MinuteSales],
    until_ms: int,
    step_minutes: int = 1,
) -> Beside:
    """Every step from the window's begin, those without sales included; the last one may be cut off by `until_ms`."""
    begin, end = now.window.from_ms, now.window.to_ms
    then = None if earlier is None else same_clock(begin, begin, earlier.window.from_ms)
    mine = _summed(minutes, begin, min(until_ms, end), step_minutes)
    theirs = {} if then is None else _summed(earlier_minutes, then, then + end - begin, step_minutes)
    return Beside(
        promotion_id=now.promotion_id,
        earlier_id=None if earlier is None else earlier.promotion_id,
        begins=begin,
        earlier_begins=then,
        step_minutes=step_minutes,
        orders=[orders for orders, _ in mine.values()],
        gmv=[gmv for _, gmv in mine.values()],
        earlier_orders=[orders for orders, _ in theirs.values()],
        earlier_gmv=[gmv for _, gmv in theirs.values()],
    )


def _summed(minutes: Sequence[MinuteSales], begin: int, end: int, step_minutes: int) -> Mapping[int, tuple[int, int]]:
    """(orders, GMV) by the number of the step."""
    step = step_minutes * MINUTE_MS
    found = dict.fromkeys(range(-(-max(0, end - begin) // step)), (0, 0))
    for one in minutes:
        if begin <= one.minute < end:
            number = (one.minute - begin) // step
            orders, gmv = found[number]
            found[number] = (orders + one.orders, gmv + one.gmv)
    return found
