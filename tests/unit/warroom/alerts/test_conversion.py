"""Conversion rates against what is usual: how often chance alone looks like a drop, and what must hold for any figures."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from warroom.alerts.conversion import LEAST_STRETCHES, STEADIEST, SUPPOSED, UsualRate, judge_drop, judge_rise, standard_score, usual_rate
from warroom.alerts.judged import surprise

USUAL = UsualRate(rate=0.13, rho=0.0002)
SECONDS = settings(max_examples=60, deadline=None)


def stretches(random: Random, count: int, tried: int, rate: float, rho: float) -> list[tuple[int, int]]:
    strength = 1 / rho - 1
    found = []
    for _ in range(count):
        p = random.betavariate(rate * strength, (1 - rate) * strength)
        found.append((sum(random.random() < p for _ in range(tried)), tried))
    return found


@pytest.mark.parametrize(("rate", "rho"), [(0.13, 0.002), (0.02, 0.0005), (0.4, 0.01)])
def test_under_the_null_chances_are_as_often_small_as_they_say(rate: float, rho: float) -> None:
    random = Random(7)
    small = judged = 0
    for _ in range(40):
        (*past,) = stretches(random, 36, 200, rate, rho)
        usual = usual_rate(past)
        assert usual is not None
        for done, tried in stretches(random, 10, 200, rate, rho):
            judged += 1
            small += judge_drop(done, tried, usual).chance < 0.05
    # 400 judged at 5%: at most 34 in 99.9% of cases (binomial); far fewer would mean that it is blunt
    assert 4 <= small <= 34, (small, judged)


def test_the_scatter_between_stretches_is_found_again() -> None:
    usual = usual_rate(stretches(Random(3), 300, 400, 0.2, 0.01))
    assert usual is not None
    assert usual.rate == pytest.approx(0.2, rel=0.05)
    assert usual.rho == pytest.approx(0.01, rel=0.35)


def test_a_rush_in_the_past_does_not_set_the_measure() -> None:
    usual = usual_rate([(13, 100)] * 33 + [(3000, 6000)] * 3)
    assert usual is not None
    assert usual.rate == pytest.approx(0.13, rel=0.02)


def test_too_little_of_the_past_says_nothing() -> None:
    assert usual_rate([(13, 100)] * (LEAST_STRETCHES - 1) + [(0, 0)] * 50) is None
    assert usual_rate([(0, 100)] * 20) is None
    assert usual_rate([(100, 100)] * 20) is None


def test_no_rate_is_taken_to_be_steadier_than_two_percent() -> None:
    usual = usual_rate([(1300, 10_000)] * 5_000)
    assert usual is not None
    assert usual.scatter == pytest.approx(STEADIEST, rel=0.01)


def test_the_fewer_stretches_are_known_the_more_scatter_is_supposed() -> None:
    scatter = [usual.scatter for count in (6, 12, 36, 144) if (usual := usual_rate([(1300, 10_000)] * count))]
    assert scatter == sorted(scatter, reverse=True)
    assert STEADIEST < scatter[-1] < scatter[0] < SUPPOSED
    assert usual_rate([(13, 100)] * 6) is not None


def test_a_channel_scatters_no_less_than_the_flow_it_is_part_of() -> None:
    assert USUAL.at_least(0.2).scatter == pytest.approx(0.2)
    assert USUAL.at_least(0.001) == USUAL


def test_of_moves_that_are_tries_of_their_own_the_rest_is_the_measure() -> None:
    usual = UsualRate(rate=0.25, rho=0.001)
    assert usual.expected(10, 100, alone=False) == 25
    assert usual.expected(10, 310, alone=True) == pytest.approx(100)  # one move on three touchpoints


def test_the_chance_is_that_of_the_beta_binomial() -> None:
    strength = 1 / USUAL.rho - 1
    expected = float(stats.betabinom.cdf(70, 1000, 0.13 * strength, 0.87 * strength))
    assert judge_drop(70, 1000, USUAL).chance == pytest.approx(expected)


@SECONDS
@given(st.integers(0, 19_990), st.floats(0.01, 0.9), st.floats(0.0001, 0.05))
def test_fewer_done_are_never_likelier(done: int, rate: float, rho: float) -> None:
    usual = UsualRate(rate=rate, rho=rho)
    assert judge_drop(done, 20_000, usual).chance <= judge_drop(done + 10, 20_000, usual).chance + 1e-9
    assert judge_rise(done, 20_000, usual).chance + 1e-9 >= judge_rise(done + 10, 20_000, usual).chance


@SECONDS
@given(st.floats(0.05, 0.9), st.floats(0.0001, 0.01), st.floats(-6, 0))
def test_the_sum_and_the_continuous_tail_meet(rate: float, rho: float, score: float) -> None:
    usual = UsualRate(rate=rate, rho=rho)
    tried = 20_000
    spread = (tried * rate * (1 - rate) * (1 + (tried - 1) * rho)) ** 0.5
    done = max(0, int(tried * rate + score * spread))
    summed, continuous = judge_drop(done, tried, usual), judge_drop(round(done * (tried + 1) / tried), tried + 1, usual)
    # alerts are judged by powers of ten: half a one does not matter, and beyond one in ten thousand million no more does any
    if summed.chance > 1e-10:
        assert surprise(continuous) == pytest.approx(surprise(summed), abs=0.5)


def test_a_drop_is_told_as_what_it_is() -> None:
    judged = judge_drop(65, 1000, USUAL)
    assert (judged.observed, judged.expected) == (0.065, 0.13)
    assert judged.change == pytest.approx(-0.5)
    assert judged.chance < 1e-6
    assert standard_score(65, 1000, USUAL) < -5
    assert judge_rise(260, 1000, USUAL).chance < 1e-12
    assert judge_drop(130, 1000, USUAL).chance == pytest.approx(0.5, abs=0.05)
