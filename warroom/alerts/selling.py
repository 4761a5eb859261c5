"""How much more is being sold than usual, by the touchpoint: what refunds are held against."""

from __future__ import annotations

from collections import deque
from statistics import median

from schemas.times import MINUTE_MS
from warroom.alerts.minutes import KNOWN, LAGGING, Minute
from warroom.alerts.sag import STRETCH


class Selling:
    """A brand's orders over its touchpoints, minute after minute."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int]] = deque(maxlen=STRETCH)
        self._open = (0, 0)
        self._stretches: deque[float] = deque(maxlen=KNOWN)

    def add(self, minute: Minute) -> None:
        """The next minute."""
        touches = sum(minute.touches.values())
        self._recent.append((minute.orders, touches))
        self._open = (self._open[0] + minute.orders, self._open[1] + touches)
        if minute.at // MINUTE_MS % STRETCH == STRETCH - 1:
            if self._open[1]:
                self._stretches.append(self._open[0] / self._open[1])
            self._open = (0, 0)

    @property
    def factor(self) -> float:
        """How many times as many orders a touchpoint as usual there were in any of the last minutes; 1 at least."""
        known = list(self._stretches)[: -LAGGING or None]
        usual = median(known) if known else 0.0
        if not usual:
            return 1.0
        return max((1.0, *(orders / touches / usual for orders, touches in self._recent if touches)))
