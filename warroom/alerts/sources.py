"""Input that falls silent: one topic while the others go on, or all that a brand has. A producer is down, and every flow that lives on it
would read as a drop, or as nothing at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from warroom.alerts.counts import judge_few, usual_counts
from warroom.alerts.judged import surprise
from warroom.alerts.minutes import KNOWN, Minute

_LOOKED_AT = 3
"""Minutes without a record of a topic."""
_STRETCH = 10
_HOUR = 6
"""Stretches."""
_MISSED = 30.0
"""Touchpoints that were to be expected in a silence of all topics that is told."""


class Sources:
    """Each topic's touchpoints as a share of all, with negative-binomial scatter (`warroom.alerts.counts`), and how many come at all."""

    def __init__(self) -> None:
        self._recent: deque[Minute] = deque(maxlen=_LOOKED_AT)
        self._open: list[Minute] = []
        self._stretches: deque[tuple[dict[str, int], int]] = deque(maxlen=KNOWN)
        self._totals: deque[int] = deque(maxlen=KNOWN + _HOUR // 2)
        self._empty = 0
        self._missed = 0.0

    def add(self, minute: Minute) -> None:
        """The next minute."""
        self._recent.append(minute)
        if any(minute.arrivals.values()):
            self._empty, self._missed = 0, 0.0
        else:
            self._empty, self._missed = self._empty + 1, self._missed + self._a_minute()
        self._open.append(minute)
        if len(self._open) == _STRETCH:
            topics = {topic for one in self._open for topic in one.arrivals}
            summed = {topic: sum(one.arrivals.get(topic, 0) for one in self._open) for topic in topics}
            total = sum(summed.values())
            self._totals.append(total)
            if total:
                self._stretches.append((summed, total))
            self._open = []

    def _a_minute(self) -> float:
        """Touchpoints of all topics that a minute brings at least: by the last hour that brought any, and by the least ten minutes about
        this time a day ago."""
        lately = [total for total in self._totals if total][-_HOUR:]
        rate = sum(lately) / (len(lately) * _STRETCH) if lately else 0.0
        if len(self._totals) == self._totals.maxlen:
            rate = min(rate, min(list(self._totals)[:_HOUR]) / _STRETCH)
        return rate

    def missing(self, seconds: float) -> bool:
        """Whether so long without any touchpoint, of which no minute tells because nobody has any, is out of the ordinary."""
        return seconds / 60 * self._a_minute() >= _MISSED

    def gone(self, seconds: float) -> bool:
        """Whether all topics have been silent for so long, against all likelihood."""
        return self._missed >= _MISSED and self._empty * 60 >= seconds

    @property
    def away(self) -> bool:
        """Whether all topics may be: what comes in the first minutes afterwards need not be all."""
        return self._missed >= _MISSED / _LOOKED_AT

    def silent(self, least_surprise: float) -> list[str]:
        """Topics that are silent against all likelihood, by name."""
        return self._silent(list(self._recent), least_surprise) if len(self._recent) == _LOOKED_AT else []

    def doubtful(self, least_surprise: float) -> bool:
        """Whether a topic was silent in the last minute: perhaps it is, and no flow should be judged until that is known."""
        return self.away or bool(self._silent(list(self._recent)[-1:], least_surprise / _LOOKED_AT))

    def _silent(self, recent: Sequence[Minute], least_surprise: float) -> list[str]:
        total = sum(sum(one.arrivals.values()) for one in recent)
        topics = {topic for summed, _ in self._stretches for topic in summed}
        return sorted(topic for topic in topics if self._is_silent(recent, topic, total, least_surprise))

    def _is_silent(self, recent: Sequence[Minute], topic: str, total: int, least_surprise: float) -> bool:
        if any(one.arrivals.get(topic) for one in recent):
            return False
        usual = usual_counts([(summed.get(topic, 0), float(all_of_it)) for summed, all_of_it in self._stretches])
        return usual is not None and surprise(judge_few(0, float(total), usual)) >= least_surprise
