"""The projected end follows from what has been reached and what the plan has left; its range widens with the scatter."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.promotion import PlanPoint
from schemas.times import DAY_MS, MINUTE_MS
from tests.unit.warroom.promotions_by_hand import BEGIN, DAY, at, promotion
from warroom.pacing import Projection, planned_by_minute, project, same_clock


def test_what_remains_is_scaled_by_how_it_has_gone() -> None:
    found = project([50.0] * 60, [100.0] * 60, 6_000)
    assert found is not None
    assert (found.actual, found.end) == (3_000, 6_000)
    assert found.low == found.high == pytest.approx(6_000)  # no scatter, no doubt


def test_scatter_widens_the_range_and_time_narrows_it() -> None:
    chance = Random(5)
    calm = [chance.gauss(100, 5) for _ in range(240)]
    wild = [chance.gauss(100, 50) for _ in range(240)]
    widths = []
    for actual, minutes in ((calm, 240), (wild, 240), (wild, 60)):
        found = project(actual[:minutes], [100.0] * minutes, (480 - minutes) * 100.0)
        assert found is not None
        widths.append(found.high - found.low)
    assert 0 < widths[0] < widths[1] < widths[2]


def test_blocks_that_hang_together_widen_the_range() -> None:
    waves = ([80.0] * 30 + [120.0] * 30) * 4
    mixed = [80.0] * 5 + [120.0] * 5
    correlated, independent = (project(actual, [100.0] * 240, 24_000.0) for actual in (waves, mixed * 24))
    assert correlated is not None
    assert independent is not None
    assert correlated.high - correlated.low > 2 * (independent.high - independent.low)


def test_too_early_there_is_no_saying() -> None:
    assert project([1.0] * 5, [1.0] * 5, 100) is None
    assert project([], [], 100) is None
    assert project([1.0] * 60, [0.0] * 60, 100) is None
    assert project([1.0] * 60, [0.001] * 60, 100) is None


def test_at_the_end_nothing_is_left_to_guess() -> None:
    assert project([1.0, 2.0], [5.0, 5.0], 0) == Projection(actual=3, end=3, low=3, high=3)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=10, max_size=300), st.floats(1, 1e8))
def test_the_end_lies_in_its_range_and_never_below_what_is_reached(minutes: list[tuple[float, float]], left: float) -> None:
    found = project([a for a, _ in minutes], [p for _, p in minutes], left)
    if found is not None:
        assert found.actual <= found.low <= found.end * (1 + 1e-9) + 1e-6
        assert found.end <= found.high
        assert found.scaled(2).actual == found.actual


def test_the_plan_of_each_minute_adds_up_to_what_is_due() -> None:
    bent = promotion(plan=(PlanPoint(0, 0.0), PlanPoint(60, 0.5), PlanPoint(DAY, 1.0)))
    assert sum(planned_by_minute(bent, at(90))) == pytest.approx(bent.share_at(at(90)))
    assert len(planned_by_minute(bent, at(90))) == 90
    assert sum(planned_by_minute(bent, at(10 * DAY))) == pytest.approx(1)
    assert planned_by_minute(bent, at(-5)) == []


@pytest.mark.parametrize("hours", [0, 4, -4])
def test_the_same_clock_time_of_an_earlier_promotion(hours: int) -> None:
    earlier_from = BEGIN - 146 * DAY_MS + hours * 60 * MINUTE_MS
    assert same_clock(at(75), BEGIN, earlier_from) == at(75) - 146 * DAY_MS
