"""The calendar of the fold agrees with the plain one at any instant, asked in any order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import LAST_MS, MINUTE_MS, from_rfc3339
from streams.calendar import Calendar
from streams.plain_turns import last_turn
from tests.unit.streams.test_plain_turns import TURNS, ZONES

EDGES = tuple(
    from_rfc3339(text)
    for text in (
        "2011-12-30T14:00:00Z",  # Apia skipped a day
        "2026-03-08T07:00:00Z",  # New York goes forward
        "2026-11-01T06:00:00Z",  # and back
        "2026-04-04T15:00:00Z",  # Lord Howe goes back by half an hour
        "1970-01-01T00:00:00Z",
    )
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(TURNS),
    st.lists(
        st.one_of(
            st.integers(0, LAST_MS), st.builds(lambda e, m: max(0, e + m * MINUTE_MS), st.sampled_from(EDGES), st.integers(-4000, 4000))
        )
    ),
)
def test_the_last_turn_is_that_of_the_plain_fold(zone: str, turn: str, instants: list[int]) -> None:
    calendar = Calendar(zone, turn)
    for at in instants:
        assert calendar.last_turn(at) == last_turn(zone, turn, at)
        assert calendar.last_turn(calendar.last_turn(at)) == calendar.last_turn(at) == last_turn(zone, turn, at)
