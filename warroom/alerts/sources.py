"""An input topic that falls silent while the others go on: its producer is down, and every flow that lives on it would read as a drop."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from warroom.alerts.counts import judge_few, usual_counts
from warroom.alerts.judged import surprise
from warroom.alerts.minutes import KNOWN, Minute

_LOOKED_AT = 3
"""Minutes without a record of a topic."""
_STRETCH = 10


class Sources:
    """Each topic's touchpoints as a share of all, with negative-binomial scatter (`warroom.alerts.counts`)."""

    def __init__(self) -> None:
        self._recent: deque[Minute] = deque(maxlen=_LOOKED_AT)
        self._open: list[Minute] = []
        self._stretches: deque[tuple[dict[str, int], int]] = deque(maxlen=KNOWN)

    def add(self, minute: Minute) -> None:
        """The next minute."""
        self._recent.append(minute)
        self._open.append(minute)
        if len(self._open) == _STRETCH:
            topics = {topic for one in self._open for topic in one.arrivals}
            summed = {topic: sum(one.arrivals.get(topic, 0) for one in self._open) for topic in topics}
            self._stretches.append((summed, sum(summed.values())))
            self._open = []

    def expected(self, minutes: float) -> float:
        """Touchpoints of all topics that so many minutes bring, by the last hour."""
        last = list(self._stretches)[-6:]
        return minutes * sum(total for _, total in last) / (len(last) * _STRETCH) if last else 0.0

    def silent(self, least_surprise: float) -> list[str]:
        """Topics that are silent against all likelihood, by name."""
        return self._silent(list(self._recent), least_surprise) if len(self._recent) == _LOOKED_AT else []

    def doubtful(self, least_surprise: float) -> bool:
        """Whether a topic was silent in the last minute: perhaps it is, and no flow should be judged until that is known."""
        return bool(self._silent(list(self._recent)[-1:], least_surprise / _LOOKED_AT))

    def _silent(self, recent: Sequence[Minute], least_surprise: float) -> list[str]:
        total = sum(sum(one.arrivals.values()) for one in recent)
        topics = {topic for summed, _ in self._stretches for topic in summed}
        return sorted(topic for topic in topics if self._is_silent(recent, topic, total, least_surprise))

    def _is_silent(self, recent: Sequence[Minute], topic: str, total: int, least_surprise: float) -> bool:
        if any(one.arrivals.get(topic) for one in recent):
            return False
        usual = usual_counts([(summed.get(topic, 0), float(all_of_it)) for summed, all_of_it in self._stretches])
        return usual is not None and surprise(judge_few(0, float(total), usual)) >= least_surprise
