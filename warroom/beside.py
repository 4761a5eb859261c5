"""A promotion's minutes beside the same clock time of an earlier one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from schemas.promotion import Promotion
from schemas.times import MINUTE_MS
from warroom.pacing import same_clock
from warroom.sales import MinuteSales


class BesideMinute(Struct, frozen=True, array_like=True):
    """A minute (epoch milliseconds) of this promotion and of the earlier one: orders and GMV of each, minor units."""

    minute: int
    orders: int
    gmv: int
    earlier_minute: int
    earlier_orders: int
    earlier_gmv: int


def beside(
    now: Promotion, minutes: Sequence[MinuteSales], earlier: Promotion, earlier_minutes: Sequence[MinuteSales], until_ms: int
) -> list[BesideMinute]:
    """Every minute of the window from its begin to before `until_ms`, those without sales included."""
    mine = {one.minute: one for one in minutes}
    theirs = {one.minute: one for one in earlier_minutes}
    found = []
    for at in range(now.window.from_ms, min(until_ms, now.window.to_ms), MINUTE_MS):
        then = same_clock(at, now.window.from_ms, earlier.window.from_ms)
        one, other = mine.get(at), theirs.get(then)
        found.append(
            BesideMinute(at, one.orders if one else 0, one.gmv if one else 0, then, other.orders if other else 0, other.gmv if other else 0)
        )
    return found
