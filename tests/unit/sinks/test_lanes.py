"""Blocks hold whole steps, are bounded, and are formed again from their ranges alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.blocks import Plan
from sinks.decision import Lane, Mark, Range, Stream, Verdict
from sinks.errors import LogStale
from sinks.lanes import Lanes
from sinks.rows import Record

LINGER = 1.0
ROLLUPS = Lane(Stream.ROLLUPS, 0)
MOVES = Lane(Stream.TRANSITIONS, 0)
SPEND = Lane(Stream.SPEND, 0)

T = TypeVar("T")


def record(offset: int, version: int, index: int = 0, *, whole: bool = True, size: int = 1) -> Record:
    return Record(offset, version, index, whole, {}, size)


def lanes(*of: Lane) -> Lanes:
    return Lanes(dict.fromkeys(of or (ROLLUPS, MOVES, SPEND), Mark()), LINGER)


def offered(to: Lanes, lane: Lane, records: Iterable[Record], now: float = 0.0) -> Lanes:
    for one in records:
        to.offer(lane, one, now)
    return to


def found(plan: Plan | None) -> Plan:
    assert plan is not None
    return plan


def test_nothing_read_makes_no_block() -> None:
    assert lanes().plan(1, 100, 0.0) is None


def test_a_rollup_waits_for_its_last_part() -> None:
    pending = offered(lanes(ROLLUPS), ROLLUPS, [record(0, 1), record(1, 2, 0, whole=False)])
    plan = found(pending.plan(1, 100, 5.0))
    assert plan.ranges[ROLLUPS] == Range(Mark(), Mark(1, 1, 0, True), 1)
    pending.stored(plan)
    assert pending.plan(2, 100, 50.0) is None
    pending.offer(ROLLUPS, record(2, 2, 1), 6.0)
    assert found(pending.plan(2, 100, 6.0)).ranges[ROLLUPS] == Range(Mark(1, 1, 0, True), Mark(3, 2, 1, True), 2)


def test_the_newest_step_of_transitions_waits_until_its_lane_is_quiet() -> None:
    pending = offered(lanes(MOVES), MOVES, [record(0, 1), record(1, 1, 1), record(2, 4)], now=10.0)
    assert found(pending.plan(1, 100, 10.5)).ranges[MOVES].records == 2
    assert found(pending.plan(1, 100, 11.0)).ranges[MOVES].records == 3


def test_a_block_is_bounded_but_takes_one_step_at_least() -> None:
    pending = offered(lanes(ROLLUPS), ROLLUPS, [record(i, i + 1, size=60) for i in range(5)])
    assert found(pending.plan(1, 130, 0.0)).ranges[ROLLUPS].records == 2
    assert found(pending.plan(1, 10, 0.0)).ranges[ROLLUPS].records == 1


def test_the_lane_that_has_waited_longest_comes_first() -> None:
    other = Lane(Stream.ROLLUPS, 1)
    pending = lanes(ROLLUPS, other)
    offered(pending, other, [record(0, 1, size=90)], now=1.0)
    offered(pending, ROLLUPS, [record(0, 1, size=90)], now=2.0)
    plan = found(pending.plan(1, 90, 3.0))
    assert (plan.ranges[other].records, plan.ranges[ROLLUPS].records) == (1, 0)
    assert list(plan.ranges) == [ROLLUPS, other]


def test_repeats_alone_move_the_offset() -> None:
    pending = offered(lanes(ROLLUPS), ROLLUPS, [record(0, 1)])
    pending.stored(found(pending.plan(1, 100, 0.0)))
    assert pending.offer(ROLLUPS, record(1, 1), 3.0) is Verdict.REPEATED
    plan = found(pending.plan(2, 100, 3.0))
    assert plan.ranges[ROLLUPS] == Range(Mark(1, 1, 0, True), Mark(2, 1, 0, True), 0)
    assert list(pending.records(plan)) == []
    pending.stored(plan)
    assert pending.oldest_at() is None


def test_what_cannot_be_read_moves_the_offset() -> None:
    pending = lanes(SPEND)
    pending.skip(SPEND, 0, 1.0)
    assert found(pending.plan(1, 100, 1.0)).ranges[SPEND] == Range(Mark(), Mark(1), 0)


def test_a_gap_is_told() -> None:
    pending = offered(lanes(ROLLUPS), ROLLUPS, [record(0, 1)])
    assert pending.offer(ROLLUPS, record(1, 3), 0.0) is Verdict.GAP


def test_a_log_that_tells_another_story_is_refused() -> None:
    plan = found(offered(lanes(ROLLUPS), ROLLUPS, [record(0, 1), record(1, 2)]).plan(1, 100, 0.0))
    other = offered(lanes(ROLLUPS), ROLLUPS, [record(0, 1), record(1, 1), record(2, 2)])
    with pytest.raises(LogStale, match=r"rollups\[0\].*block 1 was planned with 2 records.*now holds 1"):
        list(other.records(plan))


steps = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40)), max_size=30)
"""Parts and size of each step."""


@given(steps, st.lists(st.integers(1, 30), max_size=30), st.integers(1, 200))
def test_blocks_hold_every_record_once_in_order_and_form_again(of_rollups: list[tuple[int, int]], of_moves: list[int], rows: int) -> None:
    rollups = [(version, index, index == parts - 1, size) for version, (parts, size) in enumerate(of_rollups, 1) for index in range(parts)]
    moves = [(version, index, True, 1) for version, count in enumerate(of_moves, 1) for index in range(count)]
    log = {
        lane: [record(offset, version, index, whole=whole, size=size) for offset, (version, index, whole, size) in enumerate(told)]
        for lane, told in ((ROLLUPS, rollups), (MOVES, moves))
    }
    pending, taken = lanes(ROLLUPS, MOVES), []
    for lane, records in log.items():
        offered(pending, lane, records)
    block = 0
    while (plan := pending.plan(block + 1, rows, 10.0)) is not None:
        block += 1
        told = list(pending.records(plan))
        again = Lanes({lane: range_.start for lane, range_ in plan.ranges.items()}, LINGER)
        for lane, range_ in plan.ranges.items():
            offered(again, lane, log[lane][range_.start.offset :])
        assert again.lacking(plan) == set()
        assert list(again.records(plan)) == told
        pending.stored(plan)
        taken += told
    expected = sorted((r.version, r.index, r.size) for records in log.values() for r in records)
    assert sorted((r.version, r.index, r.size) for r in taken) == expected
    assert pending.size == 0
