"""An earlier promotion's curve as a baseline: how much likelier a move was at this clock time than usual. Pure.

In the rush people buy several times as often a touchpoint as before it: by the hours before, half of that is no drop at all. The curve is
of the flow as a whole and has no level: that is today's (`warroom.alerts.conversion` fits the usual rate to today's moves over touchpoints
times the curve, the ratio estimator of Cochran 1977, "Sampling Techniques", section 6.3), so an earlier promotion of any size will do.

A rush begins and ends within a minute, so the curve may jump: it is the mean of what came just before and that of what came just after,
each over as few minutes as have `NEEDED` moves, whichever is the safer (Qiu 2003, "A jump-preserving curve fitting procedure", Journal of
Nonparametric Statistics 15). What chance could have made of the curve, and a part of the rest, is left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import copysign, exp, log, sqrt

from schemas.times import MINUTE_MS
from warroom.alerts.conversion import usual_rate
from warroom.alerts.sag import STRETCH

NEEDED = 900
"""Moves from which on a rate is told: 1 / sqrt(900), 3%, is its relative standard deviation."""
WIDEST = 60
"""Minutes that are looked at on either side at most."""
CHANCE = 2.0
"""Standard deviations of the curve that chance may have made."""
TRUST = 0.8
"""Of the logarithm of the rest: a rush that was four times the usual is expected to be three times the usual at least."""

Pair = tuple[str, str]


class Line:
    """One flow of the earlier promotion, minute by minute: (done, tried) without gaps. `alone`: what is done is not among what is tried."""

    def __init__(self, counts: Sequence[tuple[int, int]], *, alone: bool) -> None:
        self._done = [0, *accumulate(done for done, _ in counts)]
        self._tried = [0, *accumulate(tried for _, tried in counts)]
        blocks = range(0, len(counts) - STRETCH + 1, STRETCH)
        stretches = [self._between(i, i + STRETCH) for i in blocks]
        usual = usual_rate([(done, tried + done * alone) for done, tried in stretches])
        self._usual = None if usual is None else usual.expected(0, 1.0, alone=alone)

    def factors(self, i: int) -> tuple[float, float]:
        """By how much moves were likelier about minute `i`: the lower and the higher of before and after."""
        if self._usual is None:
            return 1.0, 1.0
        sides = [self._factor(i, self._until(i)), self._factor(self._since(i + 1), i + 1)]
        return min(sides), max(sides)

    def _between(self, begin: int, end: int) -> tuple[int, int]:
        return self._done[end] - self._done[begin], self._tried[end] - self._tried[begin]

    def _until(self, begin: int) -> int:
        reached = bisect_left(self._done, self._done[begin] + NEEDED, begin)
        return min(reached, begin + WIDEST, len(self._done) - 1)

    def _since(self, end: int) -> int:
        reached = bisect_left(self._done, self._done[end] - NEEDED + 1, 0, end) - 1
        return max(reached, end - WIDEST, 0)

    def _factor(self, begin: int, end: int) -> float:
        done, tried = self._between(begin, end)
        if not done or not tried or self._usual is None:
            return 1.0
        found = log(done / tried / self._usual)
        beyond = max(0.0, abs(found) - CHANCE / sqrt(done))
        return exp(copysign(beyond, found) * TRUST)


class Earlier:
    """The curve of an earlier promotion. `begin` is the time today (epoch milliseconds) at which the first of
    its `count` minutes had the same clock."""

    def __init__(self, begin: int, lines: Mapping[Pair, Line], count: int) -> None:
        self._begin = begin
        self._count = count
        self._lines = dict(lines)

    @property
    def end(self) -> int:
        """The time today after which nothing is known of it."""
        return self._begin + self._count * MINUTE_MS

    def factor(self, pair: Pair, at: int, *, forward: bool) -> float:
        """How much likelier a move is expected to be in the minute that begins at `at`; 1 where nothing is known. Of a
        forward flow no more, of a reverse one no less than is safe to expect."""
        i = (at - self._begin) // MINUTE_MS
        line = self._lines.get(pair)
        if line is None or not 0 <= i < self._count:
            return 1.0
        low, high = line.factors(i)
        return low if forward else high
