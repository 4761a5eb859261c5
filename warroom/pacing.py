"""How far a promotion should be, how far it is, and how it will end. Pure.

**Planned.** The plan in force at an instant is that of the version in force then (`warroom.targets.in_force`): its target times the share
of it that is due. So the planned line is piecewise: up to a change's minute it is the earlier version's, from there on the later one's.
The original plan is the first version's throughout.

**Projected end.** A ratio estimator: what the plan says is still to come, times how the actual figures have stood to the plan so far,

    end = A + R x Q,    R = A / P,

with A what has been reached, P what was planned up to now, Q what the plan has left. It asks only that the plan has the day's *shape*;
whether it is as high as the day does not matter.

**Its range.** Cut into 24 blocks of equal plan (fewer if fewer minutes have passed), the actual figures scatter about R times the plan
with a variance of phi for each unit of plan (quasi-Poisson: counts and amounts scatter more than Poisson counts would). From it

    Var(end) = phi x c x (Q + Q^2 / P):

Q is the scatter of what is to come, Q^2 / P that R itself is an estimate. c = (1 + r) / (1 - r), r the correlation of one block with the
next (0 if negative, 0.9 at most), makes up for blocks that are not independent. The range is Student's t at LEVEL with blocks - 1 degrees
of freedom. This is the over-dispersed Poisson model of claims reserving (Renshaw and Verrall 1998, "A stochastic model underlying the
chain-ladder technique"), the ratio estimator's variance that of Cochran, "Sampling Techniques", chapter 6.

A plan whose shape has been wrong so far scatters more and so widens the range; of a shape that will be wrong only later the range knows
nothing. How often it holds on simulated days is told and tested in tests/unit/warroom/test_pacing_coverage.py: for GMV in 163 of 200 cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

from msgspec import Struct

from schemas.promotion import Promotion
from schemas.times import DAY_MS, MINUTE_MS
from warroom.targets import in_force

LEVEL = 0.8
"""How often the range is meant to hold."""

BLOCKS = 24
LEAST_BLOCKS = 6
"""With fewer there is no telling how figures scatter."""
LEAST_SHARE = 0.01
"""Of the plan that must have been due before anything is projected."""

_MOST_CORRELATED = 0.9


class Projection(Struct, frozen=True, kw_only=True):
    """How a figure will end: as expected, and the range in which it will be in LEVEL of cases."""

    actual: float
    end: float
    low: float
    high: float

    def scaled(self, factor: float) -> Projection:
        """With `factor` times as much still to come."""
        end, low, high = (self.actual + (value - self.actual) * factor for value in (self.end, self.low, self.high))
        return Projection(actual=self.actual, end=end, low=low, high=high)


def planned_gmv(versions: list[Promotion], at_ms: int) -> float:
    """GMV due by an instant, by the version in force then; minor units."""
    version = in_force(versions, at_ms)
    return version.target.gmv * version.share_at(at_ms)


def original_gmv(versions: list[Promotion], at_ms: int) -> float:
    """GMV due by an instant, by the first version; minor units."""
    return versions[0].target.gmv * versions[0].share_at(at_ms)


def planned_by_minute(promotion: Promotion, until_ms: int) -> list[float]:
    """The share of this version's target that is due in each whole minute from the window's begin to before `until_ms`."""
    begin, end = promotion.window.from_ms, min(until_ms, promotion.window.to_ms)
    shares = [promotion.share_at(at) for at in range(begin, end + 1, MINUTE_MS)]
    return [later - earlier for earlier, later in pairwise(shares)]


class Fit(NamedTuple):
    """How actual figures have stood to the plan so far: what is reached of what was due, and how it scatters."""

    reached: float
    due: float
    variance: float
    """phi x c, of a unit of plan"""
    quantile: float

    def ahead(self, plan: float) -> Projection:
        """Where the figure will be once `plan` more has become due (in the plan's unit)."""
        spread = sqrt(self.variance * (plan + plan * plan / self.due)) * self.quantile
        end = self.reached + self.reached / self.due * plan
        return Projection(actual=self.reached, end=end, low=max(self.reached, end - spread), high=end + spread)


def fit(actual: Sequence[float], planned: Sequence[float], left: float) -> Fit | None:
    """The ratio estimator, given what was planned in the same minutes and what the plan has `left` in all.

    None while too little of the plan has been due to say.
    """
    reached, due = sum(actual), sum(planned)
    blocks = _blocks(actual, planned)
    if len(blocks) < LEAST_BLOCKS or due < LEAST_SHARE * (due + left):
        return None
    ratio = reached / due
    residuals = [(a - ratio * p) / sqrt(p) for a, p in blocks]
    phi = sum(e * e for e in residuals) / (len(blocks) - 1)
    return Fit(reached, due, phi * _inflation(residuals), _quantile(len(blocks) - 1))


def project(actual: Sequence[float], planned: Sequence[float], left: float) -> Projection | None:
    """How the sum of `actual` will end, given what was planned in the same minutes and what the plan has `left` (in the plan's unit).

    None while too little of the plan has been due to say.
    """
    if left <= 0:
        reached = sum(actual)
        return Projection(actual=reached, end=reached, low=reached, high=reached)
    found = fit(actual, planned, left)
    return None if found is None else found.ahead(left)


def _blocks(actual: Sequence[float], planned: Sequence[float]) -> list[tuple[float, float]]:
    """(actual, planned) sums of up to BLOCKS runs of minutes of about equal plan; what is reached where nothing was due goes along."""
    size = sum(planned) / min(BLOCKS, max(1, len(planned)))
    found: list[tuple[float, float]] = []
    a = p = 0.0
    for one, due in zip(actual, planned, strict=True):
        a, p = a + one, p + due
        if p >= size * (1 - 1e-9) > 0:
            found.append((a, p))
            a = p = 0.0
    if found and (a or p):
        found[-1] = (found[-1][0] + a, found[-1][1] + p)
    return found


def _inflation(residuals: Sequence[float]) -> float:
    """By how much more sums of the blocks scatter than if they were independent, if each hangs on the one before."""
    square = sum(e * e for e in residuals)
    if square == 0:
        return 1.0
    r = sum(one * other for one, other in pairwise(residuals)) / square
    r = min(max(r, 0.0), _MOST_CORRELATED)
    return (1 + r) / (1 - r)


def _quantile(freedom: int) -> float:
    """Student's t at LEVEL, both sides, by the expansion about the normal (Abramowitz and Stegun 26.7.5); within 1% from 5 degrees on."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def same_clock(at_ms: int, window_from: int, earlier_from: int) -> int:
    """The instant of an earlier promotion with the same clock time, as many whole days into its window as `at_ms` is into this one.

    Windows that begin at different times of day are laid upon each other at the nearest whole number of days.
    """
    return at_ms - round((window_from - earlier_from) / DAY_MS) * DAY_MS
