"""The last turn of a brand, for zones that move their clocks and one that skipped a day."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import DAY_MS, LAST_MS, MINUTE_MS, from_rfc3339
from streams.plain_turns import last_turn

ZONES = ("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC")
TURNS = ("00:00", "01:30", "02:15", "02:30", "04:00", "23:59")
HOUR_MS = 60 * MINUTE_MS


@pytest.mark.parametrize(
    ("zone", "turn", "at", "expected"),
    [
        ("Asia/Shanghai", "04:00", "2026-01-01T04:00:00+08:00", "2026-01-01T04:00:00+08:00"),
        ("Asia/Shanghai", "04:00", "2026-01-01T03:59:59.999+08:00", "2025-12-31T04:00:00+08:00"),
        ("America/New_York", "02:30", "2026-03-08T03:29:59.999-04:00", "2026-03-07T02:30:00-05:00"),
        ("America/New_York", "02:30", "2026-03-08T03:30:00-04:00", "2026-03-08T03:30:00-04:00"),
        ("America/New_York", "01:30", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-04:00"),
        ("America/New_York", "01:30", "2026-11-01T01:30:00-05:00", "2026-11-01T01:30:00-04:00"),
        ("Pacific/Apia", "04:00", "2011-12-31T04:00:00+14:00", "2011-12-31T04:00:00+14:00"),
        ("Pacific/Apia", "04:00", "2011-12-31T03:59:59+14:00", "2011-12-29T04:00:00-10:00"),
        ("Asia/Shanghai", "23:59", "1970-01-01T00:00:00Z", "1969-12-31T23:59:00+08:00"),
    ],
)
def test_last_turn(zone: str, turn: str, at: str, expected: str) -> None:
    assert last_turn(zone, turn, from_rfc3339(at)) == from_rfc3339(expected)


@given(st.sampled_from(ZONES), st.sampled_from(TURNS), st.integers(0, LAST_MS))
def test_a_turn_shows_its_wall_time_and_the_next_is_still_to_come(zone: str, turn: str, at: int) -> None:
    found = last_turn(zone, turn, at)
    assert found <= at < found + DAY_MS + 25 * HOUR_MS
    wall = _wall(zone, found)
    clocks_went_forward = wall.utcoffset() != _wall(zone, found - 25 * HOUR_MS).utcoffset()
    assert f"{wall:%H:%M}" == turn or clocks_went_forward
    assert last_turn(zone, turn, found) == found
    assert last_turn(zone, turn, found - 1) < found


@given(st.sampled_from(ZONES), st.sampled_from(TURNS), st.integers(0, LAST_MS), st.integers(0, 3 * DAY_MS))
def test_the_last_turn_never_runs_backwards(zone: str, turn: str, at: int, later: int) -> None:
    assert last_turn(zone, turn, at) <= last_turn(zone, turn, at + later)


def _wall(zone: str, at: int) -> datetime:
    return datetime.fromtimestamp(at // 1000, ZoneInfo(zone))
