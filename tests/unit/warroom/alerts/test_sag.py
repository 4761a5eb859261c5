"""The slow sag: found where no single minute shows it, silent where there is none."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import MINUTE_MS
from warroom.alerts.conversion import UsualRate, standard_score
from warroom.alerts.sag import BAR, Sag, after

USUAL = UsualRate(rate=0.13, rho=0.0001)
TRIED = 600


def minutes_until_alarm(seed: int, rate: float, most: int) -> int | None:
    random, sag = Random(seed), Sag()
    for minute in range(most):
        done = sum(random.random() < rate for _ in range(TRIED))
        sag = after(sag, minute * MINUTE_MS, done, TRIED, USUAL)
        if sag.alarming:
            return minute + 1
    return None


def test_no_false_alarm_in_days() -> None:
    # e^18 minutes between false alarms: none is to be seen in 3 days
    assert [minutes_until_alarm(seed, 0.13, 1_440) for seed in range(3)] == [None] * 3


def test_a_sag_that_no_minute_shows_is_found() -> None:
    found = [minutes_until_alarm(seed, 0.13 * 0.85, 120) for seed in range(8)]
    assert all(minutes is not None and minutes <= 60 for minutes in found), found
    assert standard_score(round(TRIED * 0.13 * 0.85), TRIED, USUAL) > -2  # the mean minute of it is nothing to look at


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(100, 500)), max_size=60))
def test_the_sum_has_its_bounds_and_counts_what_it_sums(minutes: list[tuple[int, int]]) -> None:
    sag = Sag()
    for at, (done, tried) in enumerate(minutes):
        sag = after(sag, at * MINUTE_MS, done, tried, USUAL)
        assert 0.0 <= sag.total <= 2 * BAR
        assert sag.done <= sag.tried
        if sag.total == 0.0:
            assert (sag.done, sag.tried, sag.since) == (0, 0, (at + 1) * MINUTE_MS)


def test_a_deeper_sag_sums_up_faster() -> None:
    totals = []
    for done in (78, 66, 50, 30):
        sag = Sag()
        for minute in range(3):
            sag = after(sag, minute * MINUTE_MS, done, TRIED, USUAL)
        totals.append(sag.total)
    assert totals == sorted(totals)
    assert totals[0] == 0.0
