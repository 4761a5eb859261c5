"""What is judged: one minute of a brand, and what is known of a rate from the minutes before."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct

from schemas.times import MINUTE_MS
from warroom.alerts.conversion import UsualRate, usual_rate
from warroom.alerts.sag import STRETCH, Sag, after

KNOWN = 144
"""Stretches kept: a day."""
LAGGING = 3
"""Stretches left out before now: what is judged must not be its own measure."""
LONG = 30
"""Minutes from which on scatter is that of half hours."""
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


class Tally(NamedTuple):
    """Of `tried`, `done`. `measure` is what the usual rate is of: `tried`, times how much likelier a move is than usual at that time; with
    what was done added, where that is not among what was tried."""

    done: int = 0
    tried: int = 0
    measure: int = 0


_NOTHING = Tally()


class Stretches:
    """What is usual of a rate, learnt from stretches of `STRETCH` minutes. `usual` is None until enough is known; `usual_long` is that of
    `LONG` minutes and more together, whose scatter is less where rates wander by the quarter of an hour."""

    def __init__(self) -> None:
        self.usual: UsualRate | None = None
        self.usual_long: UsualRate | None = None
        self._stretches: deque[tuple[int, int]] = deque(maxlen=KNOWN)
        self._open = (0, 0)

    def learn(self, at: int, done: int, measure: int, *, frozen: bool, whole: Stretches | None = None) -> None:
        """The next minute. What is `frozen` (an alert is open) is not learnt from. `whole` is the flow that a channel is part of: what
        moves it moves the channel."""
        if not frozen:
            self._open = (self._open[0] + done, self._open[1] + measure)
        if at // MINUTE_MS % STRETCH == STRETCH - 1:
            if self._open[1]:
                self._stretches.append(self._open)
            self._open = (0, 0)
            self._learn(list(self._stretches)[: -LAGGING or None], whole)

    def _learn(self, known: list[tuple[int, int]], whole: Stretches | None) -> None:
        self.usual = usual_rate(known) or self.usual
        if self.usual is None:
            return
        if whole is not None and whole.usual is not None:
            self.usual = self.usual.at_least(whole.usual.scatter)
        together = LONG // STRETCH
        groups = [known[i : i + together] for i in range(len(known) % together, len(known), together)]
        halves = usual_rate([(sum(x for x, _ in one), sum(n for _, n in one)) for one in groups])
        rho = self.usual.rho if halves is None else min(halves.rho, self.usual.rho)
        self.usual_long = UsualRate(rate=self.usual.rate, rho=rho)
        if whole is not None and whole.usual_long is not None:
            self.usual_long = self.usual_long.at_least(whole.usual_long.scatter)

    def usual_over(self, minutes: int) -> UsualRate | None:
        """What is usual of so many minutes together."""
        return self.usual_long if minutes >= LONG else self.usual


class Track(Stretches):
    """The minutes of one key. `alone`: what is done is not among what is tried."""

    def __init__(self, *, alone: bool = False) -> None:
        super().__init__()
        self.alone = alone
        self.sag = Sag()
        self.sums: deque[Tally] = deque([_NOTHING], maxlen=LONGEST + 1)
        """From some minute on, up to each of the last."""

    def add(self, at: int, done: int, tried: int, *, frozen: bool, factor: float = 1.0, whole: Track | None = None) -> None:
        """The next minute, in which a move is `factor` times as likely as usual by an earlier promotion. What is `frozen` is judged, and
        not learnt from."""
        measure = max(0 if self.alone else done, tried if factor == 1.0 else round(tried * factor)) + done * self.alone
        if self.usual is not None and not frozen:
            self.sag = after(self.sag, at, done, measure, self.usual)
        last = self.sums[-1]
        self.sums.append(Tally(last[0] + done, last[1] + tried, last[2] + measure))
        self.learn(at, done, measure, frozen=frozen, whole=whole)

    def last(self, minutes: int) -> Tally:
        """The sum of the last so many minutes."""
        end, begin = self.sums[-1], self.sums[-1 - min(minutes, self.seen)]
        return Tally(end[0] - begin[0], end[1] - begin[1], end[2] - begin[2])

    @property
    def seen(self) -> int:
        """How many minutes can be looked back."""
        return len(self.sums) - 1

    def forgive(self) -> None:
        """After an alert: what was seen while it was open is not held against what comes."""
        self.sag = Sag()
        self.sums = deque([_NOTHING], maxlen=LONGEST + 1)
