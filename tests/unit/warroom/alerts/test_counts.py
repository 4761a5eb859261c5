"""Counts against what is to be expected: false alarms by chance, scale, and which way they point."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from warroom.alerts.counts import LEAST_STRETCHES, UsualCounts, judge_few, judge_many, standard_score, usual_counts

SECONDS = settings(max_examples=60, deadline=None)


def stretches(seed: int, count: int, ratio: float, wavering: float) -> list[tuple[int, float]]:
    size = 1 / wavering
    random = Random(seed)
    measures = [random.uniform(100, 5_000) for _ in range(count)]
    drawn = [stats.nbinom.rvs(size, size / (size + ratio * m), random_state=seed * 10_000 + i) for i, m in enumerate(measures)]
    return [(int(n), m) for n, m in zip(drawn, measures, strict=True)]


@pytest.mark.parametrize(("ratio", "wavering"), [(0.02, 0.01), (0.5, 0.05), (0.1, 0.002)])
def test_under_the_null_chances_are_as_often_small_as_they_say(ratio: float, wavering: float) -> None:
    few = many = 0
    for seed in range(20):
        usual = usual_counts(stretches(seed, 48, ratio, wavering))
        assert usual is not None
        for count, measure in stretches(seed + 500, 20, ratio, wavering):
            few += judge_few(count, measure, usual).chance < 0.05
            many += judge_many(count, measure, usual).chance < 0.05
    # 400 judged on each side at 5%: at most 34 in 99.9% of cases (binomial)
    assert 4 <= few <= 34
    assert 4 <= many <= 36  # what is usual leaves the highest twelfth out


def test_the_wavering_is_found_again() -> None:
    usual = usual_counts(stretches(5, 400, 0.5, 0.04))
    assert usual is not None
    assert usual.ratio == pytest.approx(0.5, rel=0.05)
    assert usual.wavering == pytest.approx(0.04, rel=0.4)


def test_too_little_of_the_past_says_nothing() -> None:
    assert usual_counts([(5, 10.0)] * (LEAST_STRETCHES - 1) + [(5, 0.0)] * 9) is None
    assert usual_counts([(0, 10.0)] * 20) is None


@SECONDS
@given(st.integers(0, 2_000), st.floats(1, 1_000), st.floats(0.0005, 0.5))
def test_fewer_are_never_likelier_and_more_are_neither(count: int, mean: float, wavering: float) -> None:
    usual = UsualCounts(ratio=1.0, wavering=wavering)
    assert judge_few(count, mean, usual).chance <= judge_few(count + 1, mean, usual).chance
    assert judge_many(count, mean, usual).chance >= judge_many(count + 1, mean, usual).chance


@SECONDS
@given(st.integers(0, 500), st.floats(1, 300), st.floats(0.001, 1000))
def test_the_unit_of_the_measure_does_not_matter(count: int, mean: float, unit: float) -> None:
    one = judge_few(count, mean, UsualCounts(ratio=1.0, wavering=0.01))
    other = judge_few(count, mean * unit, UsualCounts(ratio=1.0 / unit, wavering=0.01))
    assert other.chance == pytest.approx(one.chance, rel=1e-6, abs=1e-15)


def test_silence_is_told_apart_from_a_small_count() -> None:
    usual = UsualCounts(ratio=1.0, wavering=0.01)
    assert judge_few(0, 40.0, usual).chance < 1e-12
    assert judge_few(0, 3.0, usual).chance > 0.01
    assert standard_score(0, 40.0, usual) < -5
    assert judge_many(120, 40.0, usual).chance < 1e-12
