"""The demo's evening is over at whatever moment it is shown, and lies in the ladder's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deploy.evening import HOURS, evening_before, last_evening
from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, from_datetime

LADDER = load_ladder("5r")


@pytest.mark.parametrize(("now", "begins"), [("03:00", "-1 12:00"), ("17:59", "-1 12:00"), ("18:00", "0 12:00"), ("23:59", "0 12:00")])
def test_the_last_evening_that_is_over(now: str, begins: str) -> None:
    today = datetime(2026, 3, 5, tzinfo=UTC)
    clock = datetime.strptime(now, "%H:%M").replace(year=2026, month=3, day=5, tzinfo=UTC)
    days, _, hours = begins.partition(" ")
    found = last_evening(LADDER, from_datetime(clock))
    assert found.begins == from_datetime(today + timedelta(days=int(days), hours=int(hours[:2])))  # 20:00 in Shanghai is 12:00 UTC
    assert found.ends - found.begins == HOURS * 3_600_000
    assert found.ends <= from_datetime(clock)
    before = evening_before(found, LADDER)
    assert found.begins - before.begins == found.ends - before.ends == DAY_MS
