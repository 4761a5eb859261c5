"""A target that will be missed, and spend that brings nothing back."""

from __future__ import annotations

import pytest

from warroom.alerts.counts import usual_counts
from warroom.alerts.money import judge_pace, judge_return
from warroom.pacing import LEVEL, Projection


def projection(end: float, spread: float) -> Projection:
    return Projection(actual=end / 2, end=end, low=end - spread, high=end + spread)


def test_a_target_at_the_end_of_the_range_is_reached_in_the_rest_of_cases() -> None:
    assert judge_pace(projection(1_000, 100), 1_100).chance == pytest.approx((1 - LEVEL) / 2)
    assert judge_pace(projection(1_000, 100), 1_000).chance == pytest.approx(0.5)


def test_the_further_the_target_the_smaller_the_chance() -> None:
    chances = [judge_pace(projection(1_000, 100), target).chance for target in (900, 1_000, 1_200, 1_500)]
    assert chances == sorted(chances, reverse=True)
    assert judge_pace(projection(1_000, 100), 1_500).change == pytest.approx(-1 / 3)


def test_what_is_over_has_no_chance_left() -> None:
    assert judge_pace(projection(1_000, 0), 1_001).chance == 0.0
    assert judge_pace(projection(1_000, 0), 1_000).chance == 1.0


def test_spend_that_brings_what_it_used_to_is_none_to_speak_of() -> None:
    usual = usual_counts([(48, 100_000.0), (55, 100_000.0), (50, 100_000.0), (41, 80_000.0), (61, 120_000.0), (49, 100_000.0)])
    assert usual is not None
    assert judge_return(45, 100_000, usual).chance > 0.1
    assert judge_return(2, 100_000, usual).chance < 1e-6
    assert judge_return(0, 5_000, usual).chance > 0.01  # too little money to say
