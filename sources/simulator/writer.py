"""Touchpoints as lines. Put together from pieces of JSON, several times as fast as encoding a value would be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from sources.simulator.config import SimulatorConfig
from sources.simulator.labels import text
from sources.simulator.tally import Tally


def user_id(person: int) -> str:
    """How a person is called in the lines, in every brand the same; one in a hundred in Chinese."""
    return f"会员{person:07d}" if person % 100 == 99 else f"u{person:07d}"


class Writer:
    """Writes lines and numbers them: the event id says the seed and the line's number."""

    def __init__(self, config: SimulatorConfig, random: Callable[[], float], tally: Tally) -> None:
        self._random = random
        self._tally = tally
        self._text_times = config.text_times
        self._zone = ZoneInfo(config.ladder.time_zone)
        self._brands = [text(brand) for brand in config.brands]
        self._prefix = f"{config.seed & 0xFFFFFFFF:08x}"
        self._next = 0

    def event_id(self) -> str:
        """An id of its own for one more event."""
        self._next += 1
        return f"{self._prefix}-{self._next:010x}"

    def touchpoint(self, type_: str, brand: int, person: int, at: int, rest: str) -> bytes:
        """The line of an event at `at` (epoch milliseconds); `rest` are its further fields, each with a comma before it."""
        self._tally.touchpoints += 1
        self._tally.types[type_] += 1
        return self.line(type_, brand, person, at, rest)

    def line(self, type_: str, brand: int, person: int, at: int, rest: str) -> bytes:
        """As `touchpoint`, uncounted."""
        time = str(at) if self._random() >= self._text_times else self._as_text(at)
        return (
            f'{{"event_id":"{self.event_id()}","type":"{type_}","brand":{self._brands[brand]},'
            f'"user_id":"{user_id(person)}","occurred_at":{time}{rest}}}'
        ).encode()

    def _as_text(self, at: int) -> str:
        self._tally.text_times += 1
        return f'"{datetime.fromtimestamp(at / 1000, self._zone).isoformat(timespec="milliseconds")}"'
