"""How far a figure may be from where it should be: an alarm is a deviation that the largest of its past days do not come near.

Of each side the largest deviation of every block (a day's samples, `LEAST_BLOCK` at least) is kept. What the next block's largest will be
follows from those before: their logarithms are taken as a Gumbel distribution's (block maxima, Coles 2001, "An Introduction to Statistical
Modeling of Extreme Values", chapter 3; in logarithms a Frechet distribution, for heavy tails), fitted by moments. So the bar is near the
record where days are alike, and far beyond it where tails are heavy; no unit and no distribution of the figure itself is assumed. A bar
is never below `BEYOND` times the record, which fades. What alarms raises what is known by `TAKEN` times the bar at most: the same drop is
found a second time, and what goes on happening is told of ever less.
"""

from __future__ import annotations

from collections import deque
from math import exp, log, sqrt

from schemas.times import DAY_MS

DEVIATIONS = 2.3
"""Standard deviations of a block's largest, in logarithms, that are told: of a Gumbel distribution 3% lie beyond."""
BEYOND = 1.1
"""How many times the record a deviation must be at least."""
TAKEN = 1.5
HALF_LIFE_MS = 60 * DAY_MS
"""After which a record counts half."""
LEAST = 4.0
"""Mean absolute deviations below which nothing is alarming."""
LEAST_BLOCK = 24
MEMORY = 20
"""Blocks from which on the older ones fade."""
FLOOR = 0.001
"""Of the figure's mean size: smaller deviations are not told apart from none."""
MOST = 1000.0
"""The largest score told."""
_SUPPOSED, _SUPPOSED_BLOCKS = 0.3, 3.0
"""The scatter of a block's largest, in logarithms, before any is seen, and how many blocks that counts for."""
_SETTLING = 20
"""Deviations before the first whose size can be told."""
_LOWEST = 0.3


class _Side:
    """The largest deviations of one sign, block by block."""

    __slots__ = ("_blocks", "_mean", "_record", "_variance", "alarmed", "bar", "largest")

    def __init__(self) -> None:
        self._blocks = 0
        self._mean = self._variance = self._record = 0.0
        self.largest = 0.0
        self.alarmed = False
        self.bar = 0.0
        """0 before enough blocks are known."""

    def close(self, deviations: float, fading: float) -> None:
        """A block is over."""
        largest = max(self.largest, _LOWEST)
        if self.alarmed:
            largest = min(largest, TAKEN * self.bar)
        self._blocks += 1
        weight = 1 / min(self._blocks, MEMORY)
        off = log(largest) - self._mean
        self._mean += weight * off
        if self._blocks > 1:
            self._variance += weight * ((1 - weight) * off**2 - self._variance)
        self._record = max(self._record * fading, largest)
        self.largest, self.alarmed = 0.0, False
        if self._blocks > 1:
            self.bar = self._next_bar(deviations)

    def _next_bar(self, deviations: float) -> float:
        known = min(self._blocks, MEMORY)
        variance = (known * self._variance + _SUPPOSED_BLOCKS * _SUPPOSED**2) / (known + _SUPPOSED_BLOCKS)
        return max(exp(self._mean + deviations * sqrt(variance * (1 + 1 / known))), BEYOND * self._record, LEAST)


class Deviations:
    """One kind of deviation of one figure, smoothed over `smooth` samples, in blocks of `block` samples, `step_ms` apart."""

    def __init__(self, name: str, smooth: int, block: int, step_ms: int, *, deviations: float = DEVIATIONS) -> None:
        self.name = name
        self._bar = deviations
        self._block = block
        self._fading = 0.5 ** (block * step_ms / HALF_LIFE_MS)
        self._recent: deque[float] = deque(maxlen=smooth)
        self._total = 0.0
        self._count = 0
        self._up, self._down = _Side(), _Side()

    def score(self, deviation: float, size: float, *, live: bool) -> float:
        """How many times what would be alarming this is: 1 and above is an alarm. `size` is the figure's mean absolute value.

        While it is not `live`, all is taken as it comes and nothing is alarming (0).
        """
        smoothed = self._smooth(deviation)
        scale = max(self._total / self._count if self._count else 0.0, FLOOR * size)
        self._total += abs(smoothed)
        self._count += 1
        if self._count <= _SETTLING or scale == 0.0:
            return 0.0
        side, z = self._up if smoothed > 0 else self._down, abs(smoothed) / scale
        side.largest = max(side.largest, z)
        score = z / side.bar if live and side.bar else 0.0
        side.alarmed = side.alarmed or score >= 1.0
        if (self._count - _SETTLING) % self._block == 0:
            self._up.close(self._bar, self._fading)
            self._down.close(self._bar, self._fading)
        return min(score, MOST)

    def _smooth(self, deviation: float) -> float:
        recent = self._recent
        if len(recent) == recent.maxlen:
            recent.popleft()
        recent.append(deviation)
        return sum(recent) / len(recent)
