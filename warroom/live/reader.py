"""Asks ClickHouse for a brand's figures: a fixed number of queries, of aggregated tables only. Blocking, for one thread at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from schemas.times import DAY_MS, MINUTE_MS
from sinks.config import ClickHouse
from warroom.figures import Stored
from warroom.live import queries
from warroom.reader import Reader, datetime64
from warroom.spans import bound_spans

WINDOWS = (5, 15, 60)
"""Minutes of the flow windows, shortest first; rankings are of the longest."""
SERIES_MINUTES = 180
_MOST_RANKED = 20
_SECONDS_A_QUERY = 4

Row = dict[str, Any]


class Figures(Struct, kw_only=True):
    """What the queries gave for one brand, row by row, as of event time `end` (the end of the running minute)."""

    end: int
    flows: list[Row]
    usual: list[Row]
    minutes: list[Row]
    rankings: list[Row]
    today: list[Row]


class LiveReader(Reader):
    """A reader of its own connection. Every method raises StoreAway or StoreError."""

    def __init__(self, config: ClickHouse) -> None:
        super().__init__(config, max_execution_time=_SECONDS_A_QUERY)
        self.asked = 0
        """how many queries it has sent"""

    def stored(self) -> dict[int, Stored]:
        """How far each shard is stored."""
        rows = self._dicts(queries.STORED, {})
        return {row["shard"]: Stored(version=row["version"], watermark=row["watermark"], swept_to=row["swept_to"]) for row in rows}

    def figures(self, brand: str, watermark: int, day: int, usual: list[Row] | None) -> Figures:
        """A brand's figures at `watermark`; `day` is when its day began. `usual` is kept if given, for it hardly changes."""
        ask = self.questions(brand, watermark, day)
        return Figures(
            end=end_of(watermark),
            flows=ask["flows"](),
            usual=ask["usual"]() if usual is None else usual,
            minutes=ask["minutes"](),
            rankings=ask["rankings"](),
            today=ask["today"](),
        )

    def questions(self, brand: str, watermark: int, day: int) -> dict[str, Callable[[], list[Row]]]:
        """The queries that `figures` is made of, by name."""
        end = end_of(watermark)
        bound = {"brand": brand, "end": datetime64(end)}
        short, middle, long = (datetime64(end - minutes * MINUTE_MS) for minutes in WINDOWS)
        hour = end - WINDOWS[-1] * MINUTE_MS
        yesterday = {"brand": brand, "start": datetime64(hour - DAY_MS), "end": datetime64(hour)}
        series = {**bound, "start": datetime64(end - SERIES_MINUTES * MINUTE_MS)}
        return {
            "flows": lambda: self._dicts(queries.FLOWS, {**bound, "short": short, "middle": middle, "long": long}),
            "usual": lambda: self._dicts(queries.USUAL, yesterday),
            "minutes": lambda: self._dicts(queries.MINUTES, series),
            "rankings": lambda: self._dicts(queries.RANKINGS, {**bound, "start": long, "most": _MOST_RANKED}),
            "today": lambda: self._dicts(queries.TODAY, {"brand": brand, **bound_spans(day, end)}),
        }

    def _dicts(self, text: str, parameters: Mapping[str, Any], seconds: int | None = None) -> list[Row]:
        self.asked += 1
        return super()._dicts(text, parameters, seconds)


def end_of(watermark: int) -> int:
    """The end of the minute that is running."""
    return watermark - watermark % MINUTE_MS + MINUTE_MS
