"""Plan curves: out of an earlier promotion's GMV, or out of a file. Pure.

A curve is cumulative shares of the target over the minutes of the window (`schemas.promotion.PlanPoint`).
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import pairwise

from schemas.promotion import Phase, PlanPoint, Promotion, Window
from schemas.times import MINUTE_MS

_STEP = 0.002
"""Points lie this share apart at least: a month of minutes becomes a thousand points at most, none of them off by more."""


class CurveError(ValueError):
    """What was given makes no plan curve; the message says what was expected and what was found."""


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


def from_csv(text: str, minutes: int) -> tuple[PlanPoint, ...]:
    """A curve from lines `minute,share`, or `minute,gmv` with cumulative GMV of which the last line is the whole.

    Minutes count from the window's begin, shares go from 0 to 1; the first line may be left out if it is `0,0`. Raises CurveError with the
    line that is wrong.
    """
    rows = [row for row in csv.reader(text.lstrip("\ufeff").splitlines()) if row]
    head = [name.strip().lower() for name in rows[0]] if rows else []
    if head not in (["minute", "share"], ["minute", "gmv"]):
        raise CurveError(f"expected a first line `minute,share` or `minute,gmv`, found {','.join(head) or 'an empty file'!r}")
    points = [_point(row, number) for number, row in enumerate(rows[1:], 2)]
    if not points:
        raise CurveError("expected at least one line below the first, found none")
    whole = points[-1][1] if head[1] == "gmv" else 1.0
    if whole <= 0:
        raise CurveError(f"expected the last line to hold the whole GMV, found {whole:g}")
    if points[0][0] != 0:
        points.insert(0, (0, 0.0))
    for line, (one, other) in enumerate(pairwise(points), 2):
        if other[0] <= one[0] or other[1] < one[1]:
            raise CurveError(
                f"point {line}: expected minutes and figures that grow, found {other[0]},{other[1]:g} after {one[0]},{one[1]:g}"
            )
    if points[-1][0] != minutes or points[-1][1] / whole != 1:
        raise CurveError(f"expected the last line to be minute {minutes} with the whole (share 1), found {points[-1][0]},{points[-1][1]:g}")
    return tuple(PlanPoint(minute, value / whole) for minute, value in points)


def _point(row: list[str], line: int) -> tuple[int, float]:
    try:
        minute, value = row
        return int(minute), float(value)
    except ValueError:
        raise CurveError(f"line {line}: expected a whole minute and a number, found {','.join(row)!r}") from None


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
