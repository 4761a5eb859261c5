"""A source's rate, by a clock that the test turns."""

from __future__ import annotations

import pytest

from sources.collector.rate import Bucket


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    bucket = Bucket(rate=10, burst=20)
    assert bucket.take(20, 100.0) == 0
    assert bucket.take(5, 100.0) == pytest.approx(0.5)
    assert bucket.take(5, 100.4) == pytest.approx(0.1)
    assert bucket.take(5, 100.5) == 0
    assert bucket.take(20, 1_000.0) == 0


def test_a_batch_above_the_burst_waits_for_a_full_bucket_and_leaves_a_debt() -> None:
    bucket = Bucket(rate=10, burst=20)
    assert bucket.take(50, 100.0) == 0
    assert bucket.take(1, 100.0) == pytest.approx(3.1)
    assert bucket.take(1, 103.0) == pytest.approx(0.1)
    assert bucket.take(1, 103.2) == 0


def test_over_a_long_time_no_more_than_the_rate_comes_through() -> None:
    bucket = Bucket(rate=7, burst=9)
    taken = sum(3 for step in range(10_000) if bucket.take(3, 50 + step / 100) == 0)
    assert 7 * 100 - 3 <= taken <= 7 * 100 + 9
