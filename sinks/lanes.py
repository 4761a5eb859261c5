"""What has been read of every lane and is not stored yet, and the blocks made of it. No I/O; the clock is passed in.

A block holds whole steps of a shard: a step's rollup comes with its transitions. They lie on two topics and arrive in any order, so a
step waits for the rollup's last part, and then for as many transitions as it tells of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from types import MappingProxyType

from sinks.blocks import Plan
from sinks.decision import SINGLE, Lane, Mark, Range, Step, Stream, Verdict, judge, step_state
from sinks.errors import LogStale
from sinks.rows import Record
from streams.forgotten import Forgotten


class Pending:
    """One lane: `stored` is how far ClickHouse has it, `read` how far it has been read; `records` lie between."""

    __slots__ = ("newest_at", "oldest_at", "read", "records", "size", "stored")

    def __init__(self, stored: Mark) -> None:
        self.stored = stored
        self.read = stored
        self.records: deque[Record] = deque()
        self.size = 0
        self.oldest_at = 0.0
        self.newest_at = 0.0

    @property
    def is_dirty(self) -> bool:
        """Whether more has been read than stored, be it only repeats."""
        return self.read.offset > self.stored.offset

    def first(self, count: int) -> Range:
        """The first `count` records; with all of them also what was passed over behind them."""
        if count == len(self.records):
            return Range(self.stored, self.read, count)
        if count == 0:
            return Range(self.stored, self.stored, 0)
        last = self.records[count - 1]
        return Range(self.stored, Mark(last.offset + 1, last.version, last.index, last.whole), count)

    def arrived(self, read: Mark, now: float) -> None:
        """Something came: the lane has been read up to there."""
        if not self.is_dirty:
            self.oldest_at = now
        self.newest_at = now
        self.read = read


class Lanes:
    """All lanes, in the order in which a block takes them."""

    def __init__(
        self,
        stored: dict[Lane, Mark],
        lost: Callable[[Lane, str], None],
        forgotten: Mapping[int, Sequence[Forgotten]] = MappingProxyType({}),
    ) -> None:
        """`lost` is told of records that are missing, and raises unless that is accepted. `forgotten` are steps to pass over, by shard."""
        self._lanes = {lane: Pending(mark) for lane, mark in sorted(stored.items())}
        self._shards = sorted({lane.partition for lane in stored})
        self._lost = lost
        self._forgotten = forgotten

    def __getitem__(self, lane: Lane) -> Pending:
        return self._lanes[lane]

    def items(self) -> Iterator[tuple[Lane, Pending]]:
        """Lanes and what is pending, in order."""
        return iter(self._lanes.items())

    @property
    def size(self) -> int:
        """Rows read and not stored."""
        return sum(pending.size for pending in self._lanes.values())

    def full(self, rows: int) -> set[Lane]:
        """Once more than `rows` rows are pending: the lanes that hold more than their share of them, and several steps.

        What is pending stays below twice `rows`, however many lanes there are. A lane that others wait for is never full: where two of a
        shard hold several steps each, the first of these is whole, and goes into the next block.
        """
        pending = [(lane, pending) for lane, pending in self._lanes.items() if pending.size]
        if sum(one.size for _, one in pending) <= rows:
            return set()
        share = rows / len(pending)
        return {lane for lane, one in pending if one.size > share and one.records[0].version != one.records[-1].version}

    def offer(self, lane: Lane, record: Record, now: float) -> Verdict:
        """Judge a record, in the log's order; unless it is a repeat or forgotten it now waits for its block, also one behind an accepted
        gap."""
        pending = self._lanes[lane]
        verdict = judge(lane.stream, pending.read, record.version, record.index, self._forgotten.get(lane.partition, ()))
        if verdict in (Verdict.REPEATED, Verdict.FORGOTTEN):
            pending.arrived(replace(pending.read, offset=record.offset + 1), now)
            return verdict
        if verdict is Verdict.GAP:
            seen = f"{pending.read.version}:{pending.read.index}{'' if pending.read.whole else ' of an unfinished step'}"
            self._lost(lane, f"the last one before was {seen}, the next is {record.version}:{record.index} (version:index)")
        pending.arrived(Mark(record.offset + 1, record.version, record.index, record.whole), now)
        pending.records.append(record)
        pending.size += record.size
        return verdict

    def skip(self, lane: Lane, offset: int, now: float) -> None:
        """Pass over what cannot be read at `offset`."""
        pending = self._lanes[lane]
        pending.arrived(replace(pending.read, offset=offset + 1), now)

    def oldest_at(self) -> float | None:
        """When the oldest of what is not stored came; None if all is."""
        return min((pending.oldest_at for pending in self._lanes.values() if pending.is_dirty), default=None)

    def plan(self, block: int, rows: int) -> Plan | None:
        """The next block: whole steps, one of a shard at least, and else about `rows` rows; None while nothing is whole.

        Those wait longest come first.
        """
        ranges: dict[Lane, Range] = {}
        left = rows
        for shard in sorted(self._shards, key=self._waiting_since):
            rollups, transitions = (self._lanes[Lane(stream, shard)] for stream in (Stream.ROLLUPS, Stream.TRANSITIONS))
            steps, moves = self._whole(shard, left) if left > 0 else (0, 0)
            left -= sum(record.size for record in islice(rollups.records, steps)) + moves
            taken = {Stream.ROLLUPS: rollups.first(steps), Stream.TRANSITIONS: transitions.first(moves)}
            for stream in SINGLE:
                pending = self._lanes[Lane(stream, shard)]
                count = max(0, min(len(pending.records), left))
                left -= count
                taken[stream] = pending.first(count)
            ranges |= {Lane(stream, shard): range_ for stream, range_ in taken.items()}
        if all(range_.start == range_.end for range_ in ranges.values()):
            return None
        return Plan(block, dict(sorted(ranges.items())), rows - left)

    def _waiting_since(self, shard: int) -> float:
        return min(pending.oldest_at for lane, pending in self._lanes.items() if lane.partition == shard)

    def _whole(self, shard: int, rows: int) -> tuple[int, int]:
        """How many of a shard's pending rollups and transitions are whole steps; one step at least, if it is, else up to `rows` rows."""
        lane = Lane(Stream.TRANSITIONS, shard)
        rollups, transitions = self._lanes[Lane(Stream.ROLLUPS, shard)], self._lanes[lane]
        moves = _Moves(transitions)
        moves.go_to(rollups.stored.version)
        taken, size = (0, moves.count), 0
        for count, record in enumerate(rollups.records, 1):
            size += record.size
            if not record.whole:
                continue
            moves.go_to(record.version)
            found = moves.of(record.version)
            state = step_state(record.transitions, found, passed=transitions.read.version > record.version)
            if state is Step.WAITING or (taken[0] and size + moves.count > rows):
                break
            if state is Step.LOST:
                self._lost(lane, f"step {record.version} had {record.transitions} transitions, {found} are there")
            taken = (count, moves.count)
        return taken

    def lacking(self, plan: Plan) -> set[Lane]:
        """The lanes that have not been read up to the end of their range."""
        return {lane for lane, range_ in plan.ranges.items() if self._lanes[lane].read.offset < range_.end.offset}

    def records(self, plan: Plan) -> Iterator[Record]:
        """The records of a block of which no lane is lacking. Raises LogStale if the log tells other than the plan."""
        for lane, range_ in sorted(plan.ranges.items()):
            records = list(takewhile(lambda record, end=range_.end.offset: record.offset < end, self._lanes[lane].records))  # type: ignore[misc]
            last = (records[-1].version, records[-1].index) if records else (range_.start.version, range_.start.index)
            if len(records) != range_.records or last != (range_.end.version, range_.end.index):
                raise LogStale(
                    f"{lane.stream.value}[{lane.partition}]: block {plan.block} was planned with {range_.records} records from offset "
                    f"{range_.start.offset} to {range_.end.offset}, ending with {range_.end.version}:{range_.end.index}; the log now holds "
                    f"{len(records)} ending with {last[0]}:{last[1]}. It is not the same topic: give the sink another database"
                )
            yield from records

    def stored(self, plan: Plan) -> None:
        """The block is stored: let go of its records."""
        for lane, range_ in plan.ranges.items():
            pending = self._lanes[lane]
            while pending.records and pending.records[0].offset < range_.end.offset:
                pending.size -= pending.records.popleft().size
            pending.stored = range_.end
            pending.oldest_at = pending.newest_at


class _Moves:
    """Walks through a shard's pending transitions."""

    def __init__(self, transitions: Pending) -> None:
        self._records = iter(transitions.records)
        self._next = next(self._records, None)
        self._last = (transitions.stored.version, transitions.stored.index)
        self.count = 0
        """how many have been passed"""

    def go_to(self, version: int) -> None:
        """Pass all up to the end of step `version`."""
        while self._next is not None and self._next.version <= version:
            self._last = (self._next.version, self._next.index)
            self.count += 1
            self._next = next(self._records, None)

    def of(self, version: int) -> int:
        """How many the step just gone to has."""
        return self._last[1] + 1 if self._last[0] == version else 0
