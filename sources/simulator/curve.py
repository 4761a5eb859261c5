"""How a day's traffic rises and falls: the daily rhythm, and the rush at midnight."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import exp
from zoneinfo import ZoneInfo

from sources.simulator.config import SimulatorConfig
from sources.simulator.drop import Drop

_BY_HOUR = (6, 3, 2, 1, 1, 2, 5, 10, 14, 17, 19, 20, 23, 21, 18, 18, 19, 20, 22, 27, 33, 36, 32, 18)
_MEAN = sum(_BY_HOUR) / 24
_DAY_S = 86_400
_RAMP_S = 300
_FALL_S = 480
_RUSH = 0.2


@dataclass(frozen=True, slots=True)
class Second:
    """One second's events: their times in epoch milliseconds, ascending; whether the rush is on, and whether midnight is past;
    the drops that hold."""

    times: list[int]
    rush: bool
    sale: bool
    drops: tuple[Drop, ...]


def seconds(config: SimulatorConfig, random: Callable[[], float]) -> Iterator[Second]:
    """Every second that has events, in order, with `config.events` in all."""
    clock = _Clock(config)
    weights = array("d", (clock.weight(i) for i in range(config.seconds)))
    scale = config.events / sum(weights)
    given, due = 0, 0.0
    for i, weight in enumerate(weights):
        due += weight * scale
        # The last second takes what rounding left over.
        count = (config.events if i == config.seconds - 1 else min(int(due), config.events)) - given
        if count == 0:
            continue
        given += count
        begins = clock.start_ms + i * 1000
        yield Second(
            sorted(begins + int(random() * 1000) for _ in range(count)),
            clock.rush(i) > _RUSH,
            i >= clock.midnight,
            tuple(drop for drop in config.drops if drop.holds_at(clock.second_of_day(i) // 60)),
        )


def at_base_rate(config: SimulatorConfig, rate: float) -> SimulatorConfig:
    """The same day with as many events as make `rate` a second at a usual moment, `config.peak` times that in the rush."""
    clock = _Clock(config)
    return replace(config, events=round(rate * sum(clock.weight(i) for i in range(config.seconds))))


class _Clock:
    """The day second by second, from its start at index 0; `midnight` is the index at which the sale begins."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.start_ms = config.start_ms
        self._zone = ZoneInfo(config.ladder.time_zone)
        self._peak = config.peak
        self._offset = self._offset_at(0)
        self.midnight = -self.second_of_day(0) % _DAY_S

    def second_of_day(self, i: int) -> int:
        # An hour holds one offset: zones change theirs at whole hours or half ones, and half an hour off does no harm.
        if i % 3600 == 0:
            self._offset = self._offset_at(i)
        return (self.start_ms // 1000 + i + self._offset) % _DAY_S

    def weight(self, i: int) -> float:
        """The traffic of a second in multiples of a usual second's."""
        hour, rest = divmod(self.second_of_day(i), 3600)
        here, there = _BY_HOUR[hour], _BY_HOUR[(hour + 1) % 24]
        usual = (here + (there - here) * rest / 3600) / _MEAN
        rush = self.rush(i)
        return usual * (1 - rush) + self._peak * rush

    def rush(self, i: int) -> float:
        """From 0, as always, to 1, the first seconds of the sale: all at once, falling by two thirds every eight minutes."""
        if self._peak == 1:
            return 0.0
        since = i - self.midnight
        if since < -_RAMP_S:
            return 0.0
        if since < 0:
            return 0.1 * (since + _RAMP_S) / _RAMP_S
        return exp(-since / _FALL_S) * min(1.0, (since + 1) / 3)

    def _offset_at(self, i: int) -> int:
        offset = datetime.fromtimestamp(self.start_ms // 1000 + i, UTC).astimezone(self._zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds())
