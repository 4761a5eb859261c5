"""Plan curves: out of an earlier promotion's GMV, or out of another plan. Pure.

A curve is cumulative shares of the target over the minutes of the window (`schemas.promotion.PlanPoint`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import pairwise

from schemas.promotion import Phase, PlanPoint, Promotion, Window
from schemas.times import MINUTE_MS

_STEP = 0.002
"""Points lie this share apart at least: a month of minutes becomes a thousand points at most, none of them off by more."""


class CurveError(ValueError):
    """What was given makes no plan curve; the message says what was expected and what was found, and on which line of a file."""


def from_earlier(sold: Mapping[int, float], earlier: Promotion, window: Window, phases: Iterable[Phase] = ()) -> tuple[PlanPoint, ...]:
    """The shape of an earlier promotion laid over another window.

    `sold` is GMV (or orders) by the minute at which it was sold, epoch milliseconds; minutes outside the earlier window count for nothing.
    The earlier window is stretched to the new one; where both have the same phases in the same order, phase by phase, so that peak falls on
    peak. Raises CurveError if nothing was sold.
    """
    begin, end = earlier.window.from_ms, earlier.window.to_ms
    within = sorted((at, amount) for at, amount in sold.items() if begin <= at < end and amount)
    total = sum(amount for _, amount in within)
    if total <= 0:
        raise CurveError(f"expected sales of {earlier.brand} between {earlier.window.from_} and {earlier.window.to}, found none")
    knots = _knots(earlier, window, tuple(phases))
    minutes = (window.to_ms - window.from_ms) // MINUTE_MS
    reached, points = 0.0, {0: 0.0}
    for at, amount in within:
        starts, ends = (max(0, round((_stretched(t, knots) - window.from_ms) / MINUTE_MS)) for t in (at, at + MINUTE_MS))
        points.setdefault(starts, reached / total)
        reached += amount
        points[min(ends, minutes)] = min(1.0, reached / total)
    points[minutes] = 1.0
    return _thinned([PlanPoint(minute, share) for minute, share in sorted(points.items())])


def laid_over(version: Promotion, window: Window, phases: Iterable[Phase] = ()) -> tuple[PlanPoint, ...]:
    """The plan of a version over another window: stretched, phase by phase where both have the same ones. No points stay none."""
    knots = _knots(version, window, tuple(phases))
    minutes = (window.to_ms - window.from_ms) // MINUTE_MS
    shares: dict[int, float] = {}
    for point in version.plan:
        at = _stretched(version.window.from_ms + point.minute * MINUTE_MS, knots)
        shares[min(round((at - window.from_ms) / MINUTE_MS), minutes)] = point.share  # of points in one minute the last holds
    return tuple(PlanPoint(minute, share) for minute, share in sorted(shares.items()))


def _knots(earlier: Promotion, window: Window, phases: tuple[Phase, ...]) -> list[tuple[int, int]]:
    """(instant of the earlier window, instant of the new one): what is laid upon what."""
    knots = {earlier.window.from_ms: window.from_ms, earlier.window.to_ms: window.to_ms}
    if [phase.phase for phase in earlier.phases] == [phase.phase for phase in phases]:
        for old, new in zip(earlier.phases, phases, strict=True):
            knots.setdefault(old.from_ms, new.from_ms)
            knots.setdefault(old.to_ms, new.to_ms)
    laid = sorted(knots.items())
    grows = all(other[1] > one[1] for one, other in pairwise(laid))
    return laid if grows else [laid[0], laid[-1]]


def _stretched(at: int, knots: list[tuple[int, int]]) -> float:
    i = min(bisect_right(knots, (at, 1 << 62)), len(knots) - 1)
    (old, new), (old_end, new_end) = knots[i - 1], knots[i]
    return new + (at - old) * (new_end - new) / (old_end - old)


def _thinned(points: list[PlanPoint]) -> tuple[PlanPoint, ...]:
    """The points without those that a straight line tells within _STEP."""
    kept, before = [points[0]], points[0]
    for point in points[1:-1]:
        if point.share - kept[-1].share >= _STEP:
            if before.minute > kept[-1].minute and point.share - before.share >= _STEP / 2:
                kept.append(before)
            kept.append(point)
        before = point
    if before.minute > kept[-1].minute and points[-1].share - before.share >= _STEP / 2:
        kept.append(before)
    return (*kept, points[-1])
