from __future__ import annotations

import json

import pytest

from sources.live import Restamp
from tests.unit.sources.touchpoints import NOW, touchpoint


def test_the_latest_line_is_moved_into_the_present_and_late_ones_stay_as_late() -> None:
    restamp = Restamp(lambda: NOW)
    lines = [touchpoint(1000), touchpoint(5000), touchpoint(2000), touchpoint("1970-01-01T08:00:07+08:00")]
    moved = [json.loads(restamp(line.replace(b'": ', b'":'))) for line in lines]
    assert [fields["occurred_at"] for fields in moved] == [NOW, NOW, NOW - 3000, NOW]
    assert [fields["event_id"] for fields in moved] == [json.loads(line)["event_id"] for line in lines]


@pytest.mark.parametrize("line", [b"{", b'{"occurred_at":"yesterday, at about noon"}', b"\xff"])
def test_a_line_without_a_readable_time_stays_as_it_is(line: bytes) -> None:
    assert Restamp(lambda: NOW)(line) == line
