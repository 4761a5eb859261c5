"""A count or other figure at even times, judged as it comes: is this what it usually is? Online, never looking ahead.

Four deviations are followed, each against all of its kind before (`warroom.alerts.records`):
- level: from the mean of the last week, as it is and smoothed (what is out of the ordinary, at any time of day);
- jump: from the mean of the last three hours, smoothed (a shift, small beside the daily rhythm);
- rhythm: from the median of the same time on the last seven days, less the mean of that over the last day (what is out of the
  ordinary for this time of day: silence at noon, traffic at night). Medians by slot and a slow level, as in Vallis, Hochenbaum and
  Kejariwal 2014, "A Novel Technique for Long-Term Anomaly Detection in the Cloud", made online.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from msgspec import Struct

from schemas.times import DAY_MS, HOUR_MS
from warroom.alerts.records import Deviations

SMOOTH = 6
"""Samples over which smoothed deviations are averaged."""
RHYTHM_DAYS = 7
LEAST_DAYS = 3
"""Days of which the same time must be known before the rhythm is judged; two more until its deviations are."""
RHYTHM_LEAST = 8.0
"""Mean deviations: few days are known of each time of day, so what is usual for it is known less well."""

_LEARN_MS, _LEARN_LEAST, _LEARN_MOST = 2 * DAY_MS, 168, 576
"""Nothing is alarming for two days, but from so many samples to so many."""
_PAUSE_SAMPLES = 288


class Alarm(Struct, frozen=True, kw_only=True):
    """Something out of the ordinary begins: when (epoch milliseconds), what kind of deviation told it, how many times its bar."""

    at: int
    detector: str
    score: float


class SeriesDetector:
    """One series with a sample every `step_ms`. `see` its values in order of time; each alarm is told once, when it begins."""

    def __init__(self, step_ms: int) -> None:
        a_day = max(1, round(DAY_MS / step_ms))
        pause = min(DAY_MS, _PAUSE_SAMPLES * step_ms)
        self._pause = pause
        self._learn = min(max(_LEARN_MS // step_ms, _LEARN_LEAST), _LEARN_MOST)
        self._seen = 0
        self._absolute = 0.0
        self._quiet_at = 0
        self._week = _Mean(7 * a_day)
        self._hours = _Mean(3 * max(2, HOUR_MS // step_ms))
        self._rhythm = _Rhythm(step_ms)
        self._residuals = _Mean(a_day)
        self._unjudged = 2 * a_day
        self._raw = Deviations("level", 1, pause_ms=pause)
        self._smooth = Deviations("level", SMOOTH, pause_ms=pause)
        self._jump = Deviations("jump", SMOOTH, pause_ms=pause)
        self._slot = Deviations("rhythm", SMOOTH, least=RHYTHM_LEAST, pause_ms=pause)

    def see(self, at: int, value: float) -> Alarm | None:
        """The next value; times (epoch milliseconds) must grow. An alarm if one begins here."""
        size = self._absolute / self._seen if self._seen else abs(value)
        learning = self._seen < self._learn
        above_week, above_hours = self._week.less(value), self._hours.less(value)
        found = [
            (self._raw.name, self._raw.score(at, above_week, size, learning=learning)),
            (self._smooth.name, self._smooth.score(at, above_week, size, learning=learning)),
            (self._jump.name, self._jump.score(at, above_hours, size, learning=learning)),
            (self._slot.name, self._out_of_rhythm(at, value, size)),
        ]
        self._week.add(value)
        self._hours.add(value)
        self._seen += 1
        self._absolute += abs(value)
        return self._told(at, max(found, key=lambda one: one[1]))

    def _out_of_rhythm(self, at: int, value: float, size: float) -> float:
        usual = self._rhythm.usual(at)
        self._rhythm.add(at, value)
        if usual is None:
            return 0.0
        deviation = value - usual - (self._residuals.value or 0.0)
        self._residuals.add(value - usual)
        if self._unjudged > 0:
            self._unjudged -= 1
            self._slot.measure(deviation)
            return 0.0
        return self._slot.score(at, deviation, size, learning=self._seen < self._learn)

    def _told(self, at: int, worst: tuple[str, float]) -> Alarm | None:
        name, score = worst
        if score < 1.0:
            return None
        begins = at >= self._quiet_at
        self._quiet_at = at + self._pause
        return Alarm(at=at, detector=name, score=round(score, 3)) if begins else None


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
    def value(self) -> float | None:
        return self._sum / len(self._values) if self._values else None

    def less(self, value: float) -> float:
        """What `value` is above the mean."""
        return value - self._sum / len(self._values) if self._values else 0.0


class _Rhythm:
    """The values of the last days at each time of day."""

    def __init__(self, step_ms: int) -> None:
        self._step = step_ms
        self._slots: dict[int, deque[tuple[int, float]]] = {}

    def usual(self, at: int) -> float | None:
        day = at // DAY_MS
        known = [value for when, value in self._slots.get(at % DAY_MS // self._step, ()) if day - RHYTHM_DAYS <= when < day]
        return median(known) if len(known) >= LEAST_DAYS else None

    def add(self, at: int, value: float) -> None:
        values = self._slots.setdefault(at % DAY_MS // self._step, deque(maxlen=RHYTHM_DAYS + 1))
        day = at // DAY_MS
        if values and values[-1][0] == day:
            values.pop()
        values.append((day, value))
