"""Blocks hold whole steps, are bounded, and are formed again from their ranges alone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.blocks import Plan
from sinks.decision import SINGLE, Lane, Mark, Range, Stream, Verdict
from sinks.errors import LogGap, LogStale
from sinks.lanes import Lanes
from sinks.rows import Record
from streams.forgotten import Forgotten

ROLLUPS = Lane(Stream.ROLLUPS, 0)
MOVES = Lane(Stream.TRANSITIONS, 0)


def rollup(offset: int, version: int, index: int = 0, *, whole: bool = True, size: int = 1, moves: int = 0) -> Record:
    return Record(offset, version, index, whole, {}, size, moves if whole else 0)


def move(offset: int, version: int, index: int = 0) -> Record:
    return Record(offset, version, index, True, {}, 1)


def bill(offset: int) -> Record:
    return Record(offset, 0, 0, True, {}, 1)


def refuse(lane: Lane, how: str) -> None:
    raise LogGap(f"{lane.stream.value}[{lane.partition}]: {how}")


def lanes(shards: int = 1) -> Lanes:
    return Lanes({Lane(stream, shard): Mark() for stream in Stream for shard in range(shards)}, refuse)


def offered(to: Lanes, lane: Lane, records: Iterable[Record], now: float = 0.0) -> Lanes:
    for one in records:
        to.offer(lane, one, now)
    return to


def planned(of: Lanes, rows: int = 100) -> dict[Lane, int]:
    """How many records the next block takes of each lane, without those it takes none of."""
    plan = of.plan(1, rows)
    return {} if plan is None else {lane: range_.records for lane, range_ in plan.ranges.items() if range_.records}


def found(plan: Plan | None) -> Plan:
    assert plan is not None
    return plan


def test_nothing_read_makes_no_block() -> None:
    assert lanes().plan(1, 100) is None


def test_a_rollup_waits_for_its_last_part() -> None:
    pending = offered(lanes(), ROLLUPS, [rollup(0, 1), rollup(1, 2, 0, whole=False)])
    plan = found(pending.plan(1, 100))
    assert plan.ranges[ROLLUPS] == Range(Mark(), Mark(1, 1, 0, True), 1)
    pending.stored(plan)
    assert pending.plan(2, 100) is None
    pending.offer(ROLLUPS, rollup(2, 2, 1), 6.0)
    assert found(pending.plan(2, 100)).ranges[ROLLUPS] == Range(Mark(1, 1, 0, True), Mark(3, 2, 1, True), 2)


def test_a_step_waits_for_the_transitions_its_rollup_tells_of() -> None:
    pending = offered(lanes(), ROLLUPS, [rollup(0, 1, moves=0), rollup(1, 2, moves=2), rollup(2, 3, moves=1)])
    assert planned(pending) == {ROLLUPS: 1}
    offered(pending, MOVES, [move(0, 2, 0)])
    assert planned(pending) == {ROLLUPS: 1}
    offered(pending, MOVES, [move(1, 2, 1)])
    assert planned(pending) == {ROLLUPS: 2, MOVES: 2}
    offered(pending, MOVES, [move(2, 3, 0)])
    assert planned(pending) == {ROLLUPS: 3, MOVES: 3}


def test_transitions_wait_for_their_rollup() -> None:
    pending = offered(lanes(), MOVES, [move(0, 1, 0), move(1, 4, 0)])
    assert planned(pending) == {}
    offered(pending, ROLLUPS, [rollup(0, 1, moves=1)])
    assert planned(pending) == {ROLLUPS: 1, MOVES: 1}


def test_transitions_that_will_not_come_are_lost() -> None:
    pending = offered(lanes(), ROLLUPS, [rollup(0, 1, moves=2), rollup(1, 2, moves=1)])
    offered(pending, MOVES, [move(0, 1, 0), move(1, 2, 0)])
    with pytest.raises(LogGap, match=r"transitions\[0\]: step 1 had 2 transitions, 1 are there"):
        pending.plan(1, 100)


def test_transitions_that_come_after_their_step_was_stored_are_taken() -> None:
    pending = offered(lanes(), ROLLUPS, [rollup(0, 1)])
    pending.stored(found(pending.plan(1, 100)))
    offered(pending, MOVES, [move(0, 1)])
    assert planned(pending) == {MOVES: 1}


def test_a_block_is_bounded_but_takes_one_step_at_least() -> None:
    pending = offered(lanes(), ROLLUPS, [rollup(i, i + 1, size=50, moves=10) for i in range(5)])
    offered(pending, MOVES, [move(10 * i + j, i + 1, j) for i in range(5) for j in range(10)])
    assert planned(pending, rows=130) == {ROLLUPS: 2, MOVES: 20}
    assert planned(pending, rows=10) == {ROLLUPS: 1, MOVES: 10}


def test_the_shard_that_has_waited_longest_comes_first() -> None:
    other = Lane(Stream.ROLLUPS, 1)
    pending = lanes(2)
    offered(pending, ROLLUPS, [rollup(0, 1, size=90)], now=2.0)
    pending.stored(found(pending.plan(1, 90)))
    offered(pending, other, [rollup(0, 1, size=90)], now=4.0)
    offered(pending, ROLLUPS, [rollup(1, 2, size=90)], now=5.0)
    assert planned(pending, rows=90) in ({other: 1}, {ROLLUPS: 1})
    assert list(found(pending.plan(2, 90)).ranges) == sorted(Lane(stream, shard) for stream in Stream for shard in range(2))


def test_a_lane_far_ahead_of_its_shard_is_full() -> None:
    pending = offered(lanes(), MOVES, [move(i, i + 1) for i in range(10)])
    assert pending.full(10) == set()
    assert pending.full(9) == {MOVES}
    offered(pending, ROLLUPS, [rollup(0, 1, size=50, whole=False)])
    assert pending.full(9) == {MOVES}


@pytest.mark.parametrize("shards", [1, 3, 12])
def test_what_is_pending_stays_below_twice_the_rows_however_many_lanes_there_are(shards: int) -> None:
    pending, rows = lanes(shards), 240
    offsets = dict.fromkeys([Lane(stream, shard) for stream in (Stream.ROLLUPS, Stream.TRANSITIONS) for shard in range(shards)], 0)
    while open_lanes := offsets.keys() - pending.full(rows):
        for lane in sorted(open_lanes):
            pending.offer(lane, rollup(offsets[lane], offsets[lane] + 1, moves=1), 1.0)
            offsets[lane] += 1
        assert pending.size <= 2 * rows
    assert pending.size > rows
    assert found(pending.plan(1, rows)).rows > 0


def test_repeats_alone_move_the_offset() -> None:
    pending = offered(lanes(), ROLLUPS, [rollup(0, 1)])
    pending.stored(found(pending.plan(1, 100)))
    assert pending.offer(ROLLUPS, rollup(1, 1), 3.0) is Verdict.REPEATED
    plan = found(pending.plan(2, 100))
    assert plan.ranges[ROLLUPS] == Range(Mark(1, 1, 0, True), Mark(2, 1, 0, True), 0)
    assert list(pending.records(plan)) == []
    pending.stored(plan)
    assert pending.oldest_at() is None


@pytest.mark.parametrize("stream", SINGLE)
def test_what_stands_for_itself_and_what_cannot_be_read_need_no_step(stream: Stream) -> None:
    lane = Lane(stream, 0)
    pending = offered(lanes(), lane, [bill(0), bill(1)])
    assert planned(pending) == {lane: 2}
    pending.skip(lane, 2, 1.0)
    assert found(pending.plan(1, 100)).ranges[lane] == Range(Mark(), Mark(3, 0, 0, True), 2)


def test_a_block_takes_no_more_rows_for_having_several_topics() -> None:
    pending = lanes()
    for stream in SINGLE:
        offered(pending, Lane(stream, 0), [bill(0), bill(1), bill(2)])
    assert sum(planned(pending, rows=4).values()) == 4


def test_a_gap_is_refused_or_told() -> None:
    pending = offered(lanes(), ROLLUPS, [rollup(0, 1)])
    with pytest.raises(LogGap, match=r"the last one before was 1:0, the next is 3:0"):
        pending.offer(ROLLUPS, rollup(1, 3), 0.0)
    told: list[Lane] = []
    accepting = Lanes({Lane(stream, 0): Mark() for stream in Stream}, lambda lane, _: told.append(lane))
    offered(accepting, ROLLUPS, [rollup(0, 1), rollup(1, 3, moves=2), rollup(2, 4)])
    offered(accepting, MOVES, [move(0, 2), move(1, 3), move(2, 4)])
    assert planned(accepting) == {ROLLUPS: 3, MOVES: 3}
    assert told == [ROLLUPS, MOVES, MOVES]


def test_a_log_that_tells_another_story_is_refused() -> None:
    plan = found(offered(lanes(), ROLLUPS, [rollup(0, 1), rollup(1, 2)]).plan(1, 100))
    other = offered(lanes(), ROLLUPS, [rollup(0, 1), rollup(1, 1), rollup(2, 2)])
    with pytest.raises(LogStale, match=r"rollups\[0\].*block 1 was planned with 2 records.*now holds 1"):
        list(other.records(plan))


steps = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(0, 30)), max_size=30)
"""Parts of the rollup, their size, and transitions of each step."""


@given(steps, st.integers(1, 200), st.randoms(use_true_random=False))
def test_blocks_hold_every_record_once_in_whole_steps_and_form_again(told: list[tuple[int, int, int]], rows: int, random: object) -> None:
    log: dict[Lane, list[Record]] = {ROLLUPS: [], MOVES: []}
    for version, (parts, size, moves) in enumerate(told, 1):
        for index in range(parts):
            whole = index == parts - 1
            log[ROLLUPS].append(rollup(len(log[ROLLUPS]), version, index, whole=whole, size=size, moves=moves))
        log[MOVES] += [move(len(log[MOVES]) + index, version, index) for index in range(moves)]
    arriving = [lane for lane, records in log.items() for _ in records]
    random.shuffle(arriving)  # type: ignore[attr-defined]
    unread = {lane: iter(records) for lane, records in log.items()}
    pending, taken, block = lanes(), [], 0
    for now, lane in enumerate([*arriving, None]):
        if lane is not None:
            pending.offer(lane, next(unread[lane]), now)
        while (plan := pending.plan(block + 1, rows)) is not None:
            block += 1
            records = list(pending.records(plan))
            again = Lanes({lane: range_.start for lane, range_ in plan.ranges.items()}, refuse)
            for read, range_ in plan.ranges.items():
                offered(again, read, log.get(read, [])[range_.start.offset :])
            assert again.lacking(plan) == set()
            assert list(again.records(plan)) == records
            pending.stored(plan)
            taken += records
            stored = {lane: max((r.version for r in taken if r in log[lane]), default=0) for lane in log}
            complete = sum(1 for r in taken if r.version <= stored[ROLLUPS])
            assert complete == len(taken) == sum(1 for records in log.values() for r in records if r.version <= stored[ROLLUPS])
    assert len(taken) == sum(len(records) for records in log.values())
    assert pending.size == 0


def test_forgotten_steps_are_in_no_block_and_a_block_around_them_is_formed_again_alike() -> None:
    marks = {Lane(stream, 0): Mark() for stream in Stream}
    told = [rollup(0, 1), rollup(1, 2, moves=1), rollup(2, 3), rollup(3, 1), rollup(4, 4), rollup(5, 5, moves=1)]
    moved = [move(0, 2), move(1, 3), move(2, 3, 1), move(3, 5)]

    def read() -> Lanes:
        made = Lanes(marks, refuse, {0: [Forgotten(2, 4)]})
        return offered(offered(made, ROLLUPS, told), MOVES, moved)

    first = read()
    plan = found(first.plan(1, 100))
    assert plan.ranges[ROLLUPS] == Range(Mark(), Mark(6, 5, 0, True), 3)
    assert plan.ranges[MOVES] == Range(Mark(), Mark(4, 5, 0, True), 2)
    again = read()
    assert [(one.offset, one.version) for one in again.records(plan)] == [(0, 1), (1, 2), (5, 5), (0, 2), (3, 5)]
    first.stored(plan)
    assert first.plan(2, 100) is None


def test_forgotten_steps_at_the_end_of_a_log_are_read_once() -> None:
    made = Lanes({Lane(stream, 0): Mark() for stream in Stream}, refuse, {0: [Forgotten(1, 4)]})
    pending = offered(made, ROLLUPS, [rollup(0, 1), rollup(1, 2), rollup(2, 3)])
    plan = found(pending.plan(1, 100))
    assert plan.ranges[ROLLUPS] == Range(Mark(), Mark(3, 1, 0, True), 1)
    pending.stored(plan)
    assert pending.offer(ROLLUPS, rollup(3, 5), 1.0) is Verdict.NEW
