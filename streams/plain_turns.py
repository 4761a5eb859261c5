"""The turns of a brand as the plain fold finds them: the daily instant of housekeeping on the brand's own wall clock."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from schemas.times import from_datetime


def last_turn(time_zone: str, turn: str, at: int) -> int:
    """The latest turn at or before `at`, both epoch milliseconds; `turn` is `HH:MM` in `time_zone`.

    A wall time that comes twice (clocks set back) means its first time; one that never comes (clocks set forward) means the
    instant it would have been had the clocks not been touched.
    """
    today = datetime.fromtimestamp(at // 1000, ZoneInfo(time_zone)).date()
    days = (today + timedelta(days=offset) for offset in (-2, -1, 0, 1))  # two back: a zone may have skipped yesterday
    return max(instant for instant in (_turn_on(time_zone, turn, day) for day in days) if instant <= at)


@lru_cache(maxsize=4096)
def _turn_on(time_zone: str, turn: str, day: date) -> int:
    return from_datetime(datetime.combine(day, time.fromisoformat(turn), ZoneInfo(time_zone)))
