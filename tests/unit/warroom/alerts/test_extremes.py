"""The bar that a deviation must pass: near the largest of days that are alike, far beyond where they are not."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from schemas.times import MINUTE_MS
from warroom.alerts.extremes import LEAST, Deviations

STEP = 10 * MINUTE_MS
BLOCK = 144


def fed(draw: Callable[[Random], float], blocks: int = 12, seed: int = 1) -> Deviations:
    random = Random(seed)
    one = Deviations("level", 1, BLOCK, STEP)
    for _ in range(20 + blocks * BLOCK):
        one.score(draw(random), 1.0, live=False)
    return one


def bar(one: Deviations) -> float:
    """Of the upper side, in mean deviations."""
    return one._up.bar


def test_heavy_tails_have_a_higher_bar() -> None:
    normal, heavy = bar(fed(lambda r: r.gauss(0, 1))), bar(fed(lambda r: r.gauss(0, 1) * r.lognormvariate(0, 1)))
    assert LEAST <= normal < 8 < heavy


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_from_the_same_distribution_seldom_alarms(seed: int) -> None:
    random, one = Random(seed), fed(lambda r: r.gauss(0, 1), seed=seed + 50)
    alarms = sum(one.score(random.gauss(0, 1), 1.0, live=True) >= 1 for _ in range(30 * BLOCK))
    assert alarms <= 4  # of 60 chances, one side in one block each: 3% of each


def test_the_unit_does_not_matter_and_the_sign_only_tells_the_side() -> None:
    plain, scaled = fed(lambda r: r.gauss(0, 1)), fed(lambda r: 1024.0 * r.gauss(0, 1))
    mirrored = fed(lambda r: -r.gauss(0, 1))
    assert bar(plain) == pytest.approx(bar(scaled))
    assert bar(plain) == mirrored._down.bar


def test_the_same_is_told_again_and_what_goes_on_for_days_is_told_less() -> None:
    one = fed(lambda r: r.gauss(0, 1))
    random = Random(3)
    told = [max(one.score(random.gauss(0, 1) + (9 if i == 50 else 0), 1.0, live=True) for i in range(BLOCK)) for _ in range(8)]
    assert told[0] > 1
    assert told[1] > 1
    assert told[-1] < told[0]


def test_nothing_is_far_from_nothing() -> None:
    one = Deviations("level", 1, BLOCK, STEP)
    assert all(one.score(0.0, 0.0, live=True) == 0.0 for _ in range(500))
