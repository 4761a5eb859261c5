"""What is judged: one minute of a brand, and what is known of a rate from the minutes before."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from schemas.times import MINUTE_MS
from warroom.alerts.conversion import UsualRate, usual_rate
from warroom.alerts.sag import STRETCH, Sag, after

KNOWN = 144
"""Stretches kept: a day."""
LAGGING = 3
"""Stretches left out before now: what is judged must not be its own measure."""
LONGEST = 60
"""Minutes that a judgement looks back at most."""


class Minute(Struct, frozen=True, kw_only=True):
    """Figures of the minute that begins at `at` (epoch milliseconds).

    `touches`: touchpoints that are no orders, by the layer their user stood in before. `arrivals`: touchpoints by input topic.
    `moves`: transitions by touchpoints (no decay, no recomputation) from layer to layer, by channel ("" for none).
    """

    at: int
    touches: dict[str, int]
    arrivals: dict[str, int]
    moves: dict[tuple[str, str], dict[str, int]]
    orders: int = 0
    gmv: int = 0


class Key(Struct, frozen=True, array_like=True):
    """A flow, of the whole brand (channel None) or through one channel."""

    from_: str
    to: str
    channel: str | None = None


class Track:
    """The minutes of one key. `usual` is None until enough is known."""

    def __init__(self) -> None:
        self.usual: UsualRate | None = None
        self.sag = Sag()
        self._sums: deque[tuple[int, int]] = deque([(0, 0)], maxlen=LONGEST + 1)
        self._stretches: deque[tuple[int, int]] = deque(maxlen=KNOWN)
        self._open = (0, 0)

    def add(self, at: int, done: int, tried: int, *, frozen: bool) -> None:
        """The next minute. What is `frozen` (an alert is open) is judged and not learnt from."""
        if self.usual is not None and not frozen:
            self.sag = after(self.sag, at, done, tried, self.usual)
        last = self._sums[-1]
        self._sums.append((last[0] + done, last[1] + tried))
        if not frozen:
            self._open = (self._open[0] + done, self._open[1] + tried)
        if at // MINUTE_MS % STRETCH == STRETCH - 1:
            if self._open[1]:
                self._stretches.append(self._open)
            self._open = (0, 0)
            known = list(self._stretches)[: -LAGGING or None]
            self.usual = usual_rate(known) or self.usual

    def last(self, minutes: int) -> tuple[int, int]:
        """(done, tried) of the last so many minutes."""
        end, begin = self._sums[-1], self._sums[-1 - min(minutes, self.seen)]
        return end[0] - begin[0], end[1] - begin[1]

    @property
    def seen(self) -> int:
        """How many minutes can be looked back."""
        return len(self._sums) - 1

    def forgive(self) -> None:
        """After an alert: what was seen while it was open is not held against what comes."""
        self.sag = Sag()
        self._sums = deque([(0, 0)], maxlen=LONGEST + 1)
