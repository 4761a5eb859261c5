"""The pacing chart: both plans, what has been reached, and where it is going, at the same instants. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate

from msgspec import Struct

from schemas.promotion import Promotion
from schemas.times import MINUTE_MS, to_rfc3339
from warroom.pacing import Projection, fit, planned_by_minute, project
from warroom.progress import gmv_of, orders_of, series
from warroom.sales import MinuteSales
from warroom.targets import in_force, planned_orders


class Lines(Struct, frozen=True, kw_only=True):
    """One figure at every instant, cumulative since the window began: by the first version, by the version in force then, as sold, and as
    projected with its range (`warroom.pacing`). Null where there is nothing to tell yet, or any more."""

    original: list[float]
    planned: list[float]
    actual: list[float | None]
    projected: list[float | None]
    low: list[float | None]
    high: list[float | None]


class Pacing(Struct, frozen=True, kw_only=True):
    """The lines at the instants `at` (epoch milliseconds), of which `now` is the one shown; GMV in minor units."""

    promotion_id: str
    brand: str
    currency: str
    version: int
    shown_at: str
    now: int
    at: list[int]
    gmv: Lines
    orders: Lines


def pacing(versions: list[Promotion], minutes: Sequence[MinuteSales], now_ms: int, step_minutes: int, *, currency: str) -> Pacing:
    """The chart of a promotion (all versions, oldest first) at a whole minute, an instant every `step_minutes`."""
    promotion = in_force(versions, now_ms)
    begin, end = promotion.window.from_ms, promotion.window.to_ms
    now = min(max(now_ms, begin), end)
    instants = sorted({*range(begin, end, step_minutes * MINUTE_MS), now, end})
    return Pacing(
        promotion_id=promotion.promotion_id,
        brand=promotion.brand,
        currency=currency,
        version=promotion.version,
        shown_at=to_rfc3339(now_ms),
        now=now,
        at=instants,
        gmv=_lines(promotion, versions, series(promotion, minutes, now, gmv_of), now, instants, lambda of: float(of.target.gmv)),
        orders=_lines(promotion, versions, series(promotion, minutes, now, orders_of), now, instants, _orders),
    )


def _orders(promotion: Promotion) -> float:
    return planned_orders(promotion.target)


def _lines(
    promotion: Promotion,
    versions: list[Promotion],
    sold: Sequence[float],
    now: int,
    instants: Sequence[int],
    target: Callable[[Promotion], float],
) -> Lines:
    begin = promotion.window.from_ms
    reached = [0.0, *accumulate(sold)]
    ahead = _ahead(promotion, sold, now, instants[bisect_left(instants, now) :])
    before: list[None] = [None] * (len(instants) - len(ahead))
    first = target(versions[0])
    due = {version.version: target(version) for version in versions}
    return Lines(
        original=[first * versions[0].share_at(at) for at in instants],
        planned=[due[version.version] * version.share_at(at) for at in instants for version in (in_force(versions, at),)],
        actual=[reached[(at - begin) // MINUTE_MS] if at <= now else None for at in instants],
        projected=[*before, *(None if one is None else one.end for one in ahead)],
        low=[*before, *(None if one is None else one.low for one in ahead)],
        high=[*before, *(None if one is None else one.high for one in ahead)],
    )


def _ahead(promotion: Promotion, sold: Sequence[float], now: int, instants: Sequence[int]) -> list[Projection | None]:
    """The projection from now on, the range opening from nothing."""
    due = promotion.share_at(now)
    if due >= 1:
        return [project(sold, [], 0)] * len(instants)
    found = fit(sold, planned_by_minute(promotion, now), 1 - due)
    return [None if found is None else found.ahead(promotion.share_at(at) - due) for at in instants]
