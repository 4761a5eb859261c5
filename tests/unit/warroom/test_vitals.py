"""Who answers, what moves and how far the sink is behind, by a clock that the test turns."""

from __future__ import annotations

from warroom.live.vitals import Watch


def shards(*versions: int, offset: int = 9) -> list[tuple[int, list[int]]]:
    return [(version, [offset] * 4) for version in versions]


def test_a_server_is_away_since_its_last_answer_once_a_request_fails_or_hangs() -> None:
    watch = Watch(100.0)
    assert watch.clickhouse.away(150.0) is None  # nobody has asked
    watch.clickhouse.asking(150.0)
    assert watch.clickhouse.away(151.0) is None
    assert watch.clickhouse.away(153.0) == 53.0  # it hangs
    watch.clickhouse.answered(154.0)
    assert watch.clickhouse.away(190.0) is None
    watch.clickhouse.asking(190.0)
    watch.clickhouse.failed()
    assert watch.clickhouse.away(191.0) == 37.0


def test_what_is_unread_and_since_when_nothing_moves() -> None:
    watch = Watch(0.0)
    assert watch.vitals(1.0).unread is None
    watch.applied(1.0, shards(5, 7))
    watch.ends(1.0, [[10] * 4, [12, 10, 10, 10]])
    told = watch.vitals(6.0)
    assert (told.unread, told.applied_still, told.quiet) == (2, 5.0, 5.0)
    watch.applied(7.0, shards(5, 7))
    assert watch.vitals(8.0).applied_still == 7.0
    watch.applied(9.0, shards(5, 8))
    assert watch.vitals(9.5).applied_still == 0.5
    watch.ends(10.0, [[10] * 4, [13, 10, 10, 10]])
    assert watch.vitals(11.0).quiet == 1.0


def test_the_sink_is_as_far_behind_as_the_oldest_step_it_has_not_stored() -> None:
    watch = Watch(0.0)
    for second, versions in enumerate([(1, 1), (2, 1), (3, 2)]):
        watch.applied(float(second), shards(*versions))
    assert watch.vitals(2.0).stored_lag is None  # ClickHouse has not told
    watch.stored(3.0, {0: 1, 1: 1})
    assert watch.vitals(3.0).stored_lag == 2.0
    watch.stored(4.0, {0: 2, 1: 1})
    assert watch.vitals(4.0).stored_lag == 2.0
    watch.stored(5.0, {0: 3, 1: 2})
    assert watch.vitals(9.0).stored_lag == 0.0


def test_a_sink_that_stands_still_for_long_is_at_least_as_far_behind_as_is_remembered() -> None:
    watch = Watch(0.0)
    watch.stored(0.0, {0: 0})
    for second in range(5000):
        watch.applied(float(second), shards(second + 1))
    lag = watch.vitals(5000.0).stored_lag
    assert lag is not None
    assert 500 < lag <= 600
