"""Turns: the daily instants of housekeeping, in a brand's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.times import from_datetime


class Calendar:
    """The turns of one time zone: every day at `turn` (`HH:MM`), as zoneinfo resolves it where clocks change (fold 0)."""

    def __init__(self, time_zone: str, turn: str) -> None:
        hour, minute = turn.split(":")
        self._zone = ZoneInfo(time_zone)
        self._turn = time(int(hour), int(minute))
        self._last = 0
        self._next = -1

    def last_turn(self, at: int) -> int:
        """The latest turn at or before `at`, both in epoch milliseconds."""
        if not self._last <= at < self._next:
            self._last, self._next = self._around(at)
        return self._last

    def _around(self, at: int) -> tuple[int, int]:
        # Two days back: a zone may have skipped one (Pacific/Apia on 30 December 2011).
        day = datetime.fromtimestamp(at // 1000, UTC).astimezone(self._zone).date()
        turns = sorted(
            from_datetime(datetime.combine(day + timedelta(days=d), self._turn, self._zone).astimezone(UTC)) for d in (-2, -1, 0, 1, 2)
        )
        last = max(turn for turn in turns if turn <= at)
        return last, min(turn for turn in turns if turn > at)
