"""A count or other figure at even times, judged as it comes: is this what it usually is? Online, never looking ahead.

Five deviations are followed, each against the largest of its kind on the days before (`warroom.alerts.extremes`):
- level: from the mean of the last week;
- jump: from the mean of the last three hours, smoothed (a shift, small beside the daily rhythm);
- rhythm: from the median of the same time on the last seven days, less the mean of that over the last day (what is out of the
  ordinary for this time of day: silence at noon, traffic at night), smoothed; where the time of day foretells the figure better than
  the last week's mean does, also of its square root and, for slow sags, smoothed over longer. Medians by slot and a slow level, as in
  Vallis, Hochenbaum and Kejariwal 2014, "A Novel Technique for Long-Term Anomaly Detection in the Cloud", made online;
- week: the same by the time of the week, where that foretells the figure better than the time of day;
- noise: how much the figure moves from one sample to the next, against the last week's.

The square root makes a count scatter alike by day and by night (Anscombe 1948, "The Transformation of Poisson, Binomial and
Negative-Binomial Data", Biometrika 35); of what is below zero it is that of its size, with its sign.
"""

from __future__ import annotations

from collections import deque
from math import copysign, log, sqrt
from statistics import median

from msgspec import Struct

from schemas.times import DAY_MS, HOUR_MS
from warroom.alerts.extremes import LEAST_BLOCK, Deviations

SMOOTH, SMOOTH_LONG = 6, 24
"""Samples over which smoothed deviations are averaged."""
WEEK_MS = 7 * DAY_MS
LEAST_DAYS, LEAST_WEEKS = 3, 2
"""Days (weeks) of which the same time must be known before the rhythm is judged; as many more until its deviations are."""
NOISE_DEVIATIONS = 3.5
"""A figure that moves more is told less readily: most that do so are in order."""

_KEPT_DAYS, _KEPT_WEEKS = 7, 5
_LEARN_MS, _LEARN_LEAST, _LEARN_MOST = 2 * DAY_MS, 168, 576
"""Nothing is alarming for two days, but from so many samples to so many."""
_PAUSE_SAMPLES = 72
"""After so many samples (a day at most) without anything alarming an episode is over, and the next is told."""
_NOISE_SAMPLES = 36
_NOISE_LEAST = 24
_STILL = 0.02
"""Of the usual movement, added to it: that a figure stands still is not infinitely far from that it moves little."""
_DAY_BETTER, _WEEK_BETTER = 0.9, 0.95
"""What a rhythm's mean error must be, over that of what knows no such rhythm, for it to be judged by."""


class Alarm(Struct, frozen=True, kw_only=True):
    """Something out of the ordinary begins: when (epoch milliseconds), what kind of deviation told it, how many times its bar."""

    at: int
    detector: str
    score: float


class SeriesDetector:
    """One series with a sample every `step_ms`. `see` its values in order of time; each alarm is told once, when it begins."""

    def __init__(self, step_ms: int) -> None:
        a_day = max(1, round(DAY_MS / step_ms))
        block = max(LEAST_BLOCK, a_day)
        self._pause = min(DAY_MS, _PAUSE_SAMPLES * step_ms)
        self._learn = min(max(_LEARN_MS // step_ms, _LEARN_LEAST), _LEARN_MOST)
        self._seen = 0
        self._size, self._root_size = _Average(), _Average()
        self._quiet_at = 0
        self._week_mean, self._root_week = _Mean(7 * a_day), _Mean(7 * a_day)
        self._hours = _Mean(3 * max(2, HOUR_MS // step_ms))
        self._day = _Rhythm(step_ms, DAY_MS, _KEPT_DAYS, LEAST_DAYS)
        self._weekly = _Rhythm(step_ms, WEEK_MS, _KEPT_WEEKS, LEAST_WEEKS)
        self._plain, self._root, self._root_weekly = _Residuals(a_day), _Residuals(a_day), _Residuals(a_day)
        self._day_errors, self._week_errors = _Errors(), _Errors()
        self._movement = _Movement(a_day)
        self._level = Deviations("level", 1, block, step_ms)
        self._jump = Deviations("jump", SMOOTH, block, step_ms)
        self._rhythm = Deviations("rhythm", SMOOTH, block, step_ms)
        self._by_day = [Deviations("rhythm", smooth, block, step_ms) for smooth in (SMOOTH, SMOOTH_LONG)]
        self._by_week = Deviations("week", SMOOTH, block, step_ms)
        self._noise = Deviations("noise", 1, block, step_ms, deviations=NOISE_DEVIATIONS)
        self._unjudged = {"day": 2 * a_day, "week": 3 * a_day}

    def see(self, at: int, value: float) -> Alarm | None:
        """The next value; times (epoch milliseconds) must grow. An alarm if one begins here."""
        live = self._seen >= self._learn
        root = _root(value)
        self._size.add(abs(value))
        self._root_size.add(abs(root))
        size = self._size.value
        found = [
            (self._level.name, self._level.score(self._week_mean.less(value), size, live=live)),
            (self._jump.name, self._jump.score(self._hours.less(value), size, live=live)),
            *self._out_of_rhythm(at, value, root, live),
        ]
        moved = self._movement.add(root)
        if moved is not None:
            found.append((self._noise.name, self._noise.score(moved, 0.0, live=live)))
        self._week_mean.add(value)
        self._root_week.add(root)
        self._hours.add(value)
        self._seen += 1
        return self._told(at, max(found, key=lambda one: one[1]))

    def _out_of_rhythm(self, at: int, value: float, root: float, live: bool) -> list[tuple[str, float]]:
        of_day, of_week = self._day.usual(at), self._weekly.usual(at)
        self._day.add(at, value)
        self._weekly.add(at, value)
        found: list[tuple[str, float]] = []
        by_day = None
        if of_day is not None:
            plain = self._plain.less(value - of_day)
            by_day = self._root.less(root - _root(of_day))
            self._day_errors.add(by_day, self._root_week.less(root))
            judged = live and self._is_known("day")
            found.append((self._rhythm.name, self._rhythm.score(plain, self._size.value, live=judged)))
            scores = [(one.name, one.score(by_day, self._root_size.value, live=judged)) for one in self._by_day]
            found += scores if self._day_errors.ratio < _DAY_BETTER else ()
        if of_week is not None:
            by_week = self._root_weekly.less(root - _root(of_week))
            if by_day is not None:
                self._week_errors.add(by_week, by_day)
            score = self._by_week.score(by_week, self._root_size.value, live=live and self._is_known("week"))
            found += [(self._by_week.name, score)] if self._week_errors.ratio < _WEEK_BETTER else ()
        return found

    def _is_known(self, rhythm: str) -> bool:
        """Whether the deviations of a rhythm have been seen for long enough; each call is one more."""
        self._unjudged[rhythm] -= 1
        return self._unjudged[rhythm] < 0

    def _told(self, at: int, worst: tuple[str, float]) -> Alarm | None:
        name, score = worst
        if score < 1.0:
            return None
        begins = at >= self._quiet_at
        self._quiet_at = at + self._pause
        return Alarm(at=at, detector=name, score=round(score, 3)) if begins else None


def _root(value: float) -> float:
    return copysign(sqrt(abs(value)), value)


class _Mean:
    """The mean of the last `keep` values."""

    def __init__(self, keep: int) -> None:
        self._values: deque[float] = deque(maxlen=keep)
        self._sum = 0.0

    def add(self, value: float) -> None:
        if len(self._values) == self._values.maxlen:
            self._sum -= self._values[0]
        self._values.append(value)
        self._sum += value

    @property
    def count(self) -> int:
        return len(self._values)

    @property
    def value(self) -> float:
        return self._sum / len(self._values) if self._values else 0.0

    def less(self, value: float) -> float:
        """What `value` is above the mean; 0 of none."""
        return value - self._sum / len(self._values) if self._values else 0.0


class _Average:
    """The mean of all values."""

    def __init__(self) -> None:
        self.value = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        self._count += 1
        self.value += (value - self.value) / self._count


class _Residuals:
    """What is left of a figure without its rhythm, less the mean of that over the last day."""

    def __init__(self, a_day: int) -> None:
        self._mean = _Mean(a_day)

    def less(self, residual: float) -> float:
        found = residual - self._mean.value
        self._mean.add(residual)
        return found


class _Errors:
    """How well one forecast does beside another: the ratio of their mean absolute errors so far; infinite before any."""

    def __init__(self) -> None:
        self._own = self._other = 0.0

    def add(self, own: float, other: float) -> None:
        self._own += abs(own)
        self._other += abs(other)

    @property
    def ratio(self) -> float:
        return self._own / self._other if self._other else float("inf")


class _Movement:
    """How much a figure moves from one sample to the next, of late, over how much it usually does: the logarithm."""

    def __init__(self, a_day: int) -> None:
        self._late = _Mean(_NOISE_SAMPLES)
        self._usual = _Mean(7 * a_day)
        self._last: float | None = None

    def add(self, value: float) -> float | None:
        """The next value; None while nothing is usual."""
        last, self._last = self._last, value
        if last is None:
            return None
        moved = abs(value - last)
        self._late.add(moved)
        usual = self._usual.value
        known = self._usual.count >= _NOISE_LEAST and usual > 0 and self._late.count == _NOISE_SAMPLES
        self._usual.add(moved)
        return log((max(0.0, self._late.value) / usual + _STILL) / (1 + _STILL)) if known else None


class _Rhythm:
    """The values of the last periods (days, weeks) at each time of them: `keep` are kept, `least` must be known."""

    def __init__(self, step_ms: int, period_ms: int, keep: int, least: int) -> None:
        self._step = step_ms
        self._period = period_ms
        self._keep = keep
        self._least = least
        self._slots: dict[int, deque[tuple[int, float]]] = {}

    def usual(self, at: int) -> float | None:
        """The median of the same time in the periods before."""
        now = at // self._period
        known = [value for when, value in self._slots.get(at % self._period // self._step, ()) if now - self._keep <= when < now]
        return median(known) if len(known) >= self._least else None

    def add(self, at: int, value: float) -> None:
        values = self._slots.setdefault(at % self._period // self._step, deque(maxlen=self._keep + 1))
        now = at // self._period
        if values and values[-1][0] == now:
            values.pop()
        values.append((now, value))
