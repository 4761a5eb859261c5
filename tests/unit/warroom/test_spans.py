"""A period is made of spans of eight hours, of hours and of minutes, each minute in one of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.times import MINUTE_MS, from_rfc3339
from warroom.spans import HOUR_MS, bound_spans

DAY = 1_794_268_800_000 // MINUTE_MS
MINUTES = st.integers(DAY, DAY + 3 * 1440)


@given(MINUTES, MINUTES)
def test_every_minute_is_in_one_span(one: int, other: int) -> None:
    start, end = sorted((one, other))
    bound = {
        name: from_rfc3339(f"{text.replace(' ', 'T')}Z") // MINUTE_MS
        for name, text in bound_spans(start * MINUTE_MS, end * MINUTE_MS).items()
    }
    longs = range(bound["longs_from"], bound["longs_to"])
    hours = [minute for minute in range(bound["hours_from"], bound["hours_to"]) if minute not in longs]
    minutes = [minute for minute in range(start, end) if minute < bound["hours_from"] or minute >= bound["hours_to"]]
    assert sorted([*longs, *hours, *minutes]) == list(range(start, end))
    assert not longs or (longs.start * MINUTE_MS % (8 * HOUR_MS), longs.stop * MINUTE_MS % (8 * HOUR_MS)) == (0, 0)
    assert not hours or (hours[0] % 60, (hours[-1] + 1) % 60) == (0, 0)
    assert len(minutes) < 120
    assert len(hours) < 2 * 480


def test_where_there_are_no_longer_spans_all_are_minutes() -> None:
    bound = bound_spans(DAY * MINUTE_MS, (DAY + 1440) * MINUTE_MS, minutes_only=True)
    assert {bound[name] for name in ("hours_from", "hours_to", "longs_from", "longs_to")} == {bound["start"]}
