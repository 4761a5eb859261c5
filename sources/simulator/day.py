"""The simulated day: line after line in the order in which they arrive.

Everything is drawn from two generators in one order, so that the same configuration gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random

from sources.simulator.broken import broken, reasons
from sources.simulator.config import SimulatorConfig
from sources.simulator.curve import Second, seconds
from sources.simulator.people import People, Telling
from sources.simulator.tally import Tally
from sources.simulator.writer import Writer

_LATE_MS = (660_000, 3_600_000)
"""Between how many milliseconds late lines are late: all more than the ten minutes from which the processor calls it so."""

_SOON = 40
"""Within how many lines something is told again: few enough for the person's last records to hold the first telling."""


class PromotionDay:
    """One simulated day. `lines` can be taken once; `tally` counts them as they are taken.

    Memory: two bytes a person, some 300 a buyer, and the lines that are late.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.tally = Tally()
        self._config = config
        self._random = Random(f"deeds {config.seed}").random
        # A generator of its own: what people do does not move the traffic.
        self._times = Random(f"times {config.seed}").random
        self._people = People(config, self._random, Writer(config, self._random, self.tally), self.tally, self._tell_soon)
        self._reasons = reasons(config.broken_reasons)
        self._soon: list[tuple[int, int, Telling]] = []
        self._told = 0

    def lines(self) -> Iterator[bytes]:
        """JSON lines without their line break, `events` of them; fewer only where a drop leaves nobody anything to do."""
        late: list[tuple[int, int, bytes]] = []
        for second in seconds(self._config, self._times):
            for at in second.times:
                while late and late[0][0] <= at:
                    yield heappop(late)[2]
                line = self._next(at, second)
                if line is None:
                    continue
                self.tally.lines += 1
                if self._by_chance(self._config.late):
                    self.tally.late += 1
                    heappush(late, (at + self._delay(), self.tally.lines, line))
                else:
                    yield line
        while late:
            yield heappop(late)[2]

    def _next(self, at: int, second: Second) -> bytes | None:
        if self._soon and self._soon[0][0] <= self.tally.lines:
            return heappop(self._soon)[2](at)
        if self._by_chance(self._config.broken):
            return self._broken(at)
        line = self._people.act(at, second)
        if line is not None and self._by_chance(self._config.retries):
            self._tell_soon(lambda _: self._retry(line))
        return line

    def _tell_soon(self, telling: Telling) -> None:
        self._told += 1
        heappush(self._soon, (self.tally.lines + 1 + int(self._random() * _SOON), self._told, telling))

    def _retry(self, line: bytes) -> bytes:
        self.tally.retries += 1
        return line

    def _broken(self, at: int) -> bytes:
        reason = self._reasons[int(self._random() * len(self._reasons))]
        self.tally.broken[reason.value] += 1
        return broken(self._people.sound_purchase(at), reason, self._random)

    def _delay(self) -> int:
        first, last = _LATE_MS
        return first + int(self._random() * (last - first))

    def _by_chance(self, share: float) -> bool:
        return share > 0 and self._random() < share
