"""Instants survive the way to a topic and back."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import LAST_MS, from_datetime, from_rfc3339, to_rfc3339


@given(st.integers(0, LAST_MS))
def test_an_instant_survives_writing_and_reading(ms: int) -> None:
    assert from_rfc3339(to_rfc3339(ms)) == ms


def test_an_instant_has_milliseconds_and_utc() -> None:
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert to_rfc3339(LAST_MS) == "2299-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-11T00:00:03.120+08:00", 1_794_326_403_120),
        ("2026-11-10T16:00:03.120999Z", 1_794_326_403_120),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_offsets_are_counted_and_what_is_finer_than_a_millisecond_is_cut(text: str, ms: int) -> None:
    assert from_rfc3339(text) == ms


@pytest.mark.parametrize("text", ["2026-11-11T00:00:03", "2026-11-11", "", "midnight"])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_rfc3339(text)


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(TypeError):
        from_datetime(datetime(2026, 11, 11))
