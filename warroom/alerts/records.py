"""How far a figure has ever been from where it should be: an alarm is a deviation clearly beyond all before it.

No distribution is assumed, so heavy tails, floats and negative values are all the same to it. Of n deviations that come from one
distribution, whatever it is, the next is the largest of its sign with probability 1 / (n + 1) (Arnold, Balakrishnan and Nagaraja 1998,
"Records", chapter 2): false alarms become rarer by themselves. `MARGIN` makes them rarer still, as a threshold above the block maxima
does (Siffer, Fouque, Termier and Largouet 2017, "Anomaly Detection in Streams with Extreme Value Theory", KDD). A record fades, so that
what happened once is not the measure for ever; and what is alarming raises the record by `GROWTH` at most an episode, so that the same
drop is found a second time, and what goes on happening is told of ever less.
"""

from __future__ import annotations

from collections import deque

from schemas.times import DAY_MS

MARGIN = 1.3
"""How many times the record a deviation must be."""
GROWTH = 2.0
"""By how much one episode raises the record at most."""
HALF_LIFE_MS = 60 * DAY_MS
"""After which a record counts half."""
LEAST = 3.0
"""Mean absolute deviations below which nothing is alarming."""
FLOOR = 0.001
"""Of the figure's mean size: smaller deviations are not told apart from none."""
MOST = 1000.0
"""The largest score told."""
_SETTLING = 20
"""Deviations before the first whose size can be told."""


class _Record:
    """The largest deviation of one sign. `limit` is what an episode that is going on may raise it to."""

    __slots__ = ("at", "limit", "quiet_at", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.limit = 0.0
        self.quiet_at = 0
        self.at = 0


class Deviations:
    """One kind of deviation of one figure, smoothed over `smooth` samples. Feed it in order of time."""

    def __init__(self, name: str, smooth: int, *, margin: float = MARGIN, least: float = LEAST, pause_ms: int = DAY_MS) -> None:
        """`pause_ms`: after so long without an alarming deviation an episode is over."""
        self.name = name
        self._margin = margin
        self._least = least
        self._pause = pause_ms
        self._recent: deque[float] = deque(maxlen=smooth)
        self._total = 0.0
        self._count = 0
        self._up, self._down = _Record(), _Record()

    def measure(self, deviation: float) -> None:
        """Learn how large deviations are, without taking records."""
        self._total += abs(self._smooth(deviation))
        self._count += 1

    def score(self, at: int, deviation: float, size: float, *, learning: bool = False) -> float:
        """How many times what would be alarming this is: 1 and above is an alarm. `size` is the figure's mean absolute value.

        While `learning`, records are taken as they come and nothing is alarming (0).
        """
        smoothed = self._smooth(deviation)
        scale = max(self._total / self._count if self._count else 0.0, FLOOR * size)
        self._total += abs(smoothed)
        self._count += 1
        if self._count <= _SETTLING or scale == 0.0 or smoothed == 0.0:
            return 0.0
        z = abs(smoothed) / scale
        record = self._up if smoothed > 0 else self._down
        bar = max(self._margin * self._faded(record, at), self._least)
        score = z / bar
        self._raise(record, at, z, alarming=score >= 1.0 and not learning)
        return 0.0 if learning else min(score, MOST)

    def _smooth(self, deviation: float) -> float:
        recent = self._recent
        if len(recent) == recent.maxlen:
            recent.popleft()
        recent.append(deviation)
        return sum(recent) / len(recent)

    def _faded(self, record: _Record, at: int) -> float:
        faded = 0.5 ** ((at - record.at) / HALF_LIFE_MS) if record.at else 1.0
        record.value *= faded
        record.at = at
        return record.value

    def _raise(self, record: _Record, at: int, z: float, *, alarming: bool) -> None:
        if not alarming:
            record.value = max(record.value, z if at >= record.quiet_at else min(z, record.limit))
            return
        if at >= record.quiet_at:
            record.limit = GROWTH * max(record.value, self._least / self._margin)
        record.quiet_at = at + self._pause
        record.value = max(record.value, min(z, record.limit))
