"""What has been read of every lane and is not stored yet. No I/O; the clock is passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from sinks.blocks import Plan
from sinks.decision import Lane, Mark, Range, Stream, Verdict, judge
from sinks.errors import LogStale
from sinks.rows import Record


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

    def whole(self, rows: int, stream: Stream, *, settled: bool) -> int:
        """How many of the pending records to take: whole steps, one at least and else up to `rows` rows; 0 if no step is whole.

        The end of a step of transitions shows only in the next one: unless `settled`, the newest is held back.
        """
        taken = size = 0
        before: Record | None = None
        for count, record in enumerate(self.records):
            if before is not None and (record.version != before.version if stream is Stream.TRANSITIONS else before.whole):
                taken = count
            if taken and size + record.size > rows:
                return taken
            size += record.size
            before = record
        if before is not None and (settled if stream is Stream.TRANSITIONS else before.whole):
            return len(self.records)
        return taken


class Lanes:
    """All lanes, in the order in which a block takes them."""

    def __init__(self, stored: dict[Lane, Mark], linger: float) -> None:
        self._lanes = {lane: Pending(mark) for lane, mark in sorted(stored.items())}
        self._linger = linger

    def __getitem__(self, lane: Lane) -> Pending:
        return self._lanes[lane]

    def items(self) -> Iterator[tuple[Lane, Pending]]:
        """Lanes and what is pending, in order."""
        return iter(self._lanes.items())

    @property
    def size(self) -> int:
        """Rows read and not stored."""
        return sum(pending.size for pending in self._lanes.values())

    def offer(self, lane: Lane, record: Record, now: float) -> Verdict:
        """Judge a record, in the log's order; unless it is a repeat it now waits for its block, also one behind a gap."""
        pending = self._lanes[lane]
        verdict = judge(lane.stream, pending.read, record.version, record.index)
        if not pending.is_dirty:
            pending.oldest_at = now
        pending.newest_at = now
        if verdict is Verdict.REPEATED:
            pending.read = replace(pending.read, offset=record.offset + 1)
            return verdict
        pending.read = Mark(record.offset + 1, record.version, record.index, record.whole)
        pending.records.append(record)
        pending.size += record.size
        return verdict

    def skip(self, lane: Lane, offset: int, now: float) -> None:
        """Pass over what cannot be read at `offset`."""
        pending = self._lanes[lane]
        if not pending.is_dirty:
            pending.oldest_at = now
        pending.read = replace(pending.read, offset=offset + 1)

    def oldest_at(self) -> float | None:
        """When the oldest of what is not stored came; None if all is."""
        return min((pending.oldest_at for pending in self._lanes.values() if pending.is_dirty), default=None)

    def plan(self, block: int, rows: int, now: float) -> Plan | None:
        """The next block: whole steps of every lane, about `rows` rows; None while no lane has any."""
        ranges: dict[Lane, Range] = {}
        left = rows
        for lane, pending in sorted(self._lanes.items(), key=lambda item: item[1].oldest_at):
            count = self._count(lane, pending, left, now) if left > 0 else 0
            ranges[lane] = self._range(pending, count, now)
            left -= sum(record.size for record in islice(pending.records, count))
        if all(range_.start == range_.end for range_ in ranges.values()):
            return None
        return Plan(block, dict(sorted(ranges.items())))

    def _count(self, lane: Lane, pending: Pending, rows: int, now: float) -> int:
        return pending.whole(rows, lane.stream, settled=now - pending.newest_at >= self._linger or pending.size > rows)

    @staticmethod
    def _range(pending: Pending, count: int, now: float) -> Range:
        """The first `count` records; with all of them also what was passed over behind them."""
        if count == len(pending.records):
            return Range(pending.stored, pending.read, count)
        if count == 0:
            return Range(pending.stored, pending.stored, 0)
        last = pending.records[count - 1]
        return Range(pending.stored, Mark(last.offset + 1, last.version, last.index, last.whole), count)

    def lacking(self, plan: Plan) -> set[Lane]:
        """The lanes that have not been read up to the end of their range."""
        return {lane for lane, range_ in plan.ranges.items() if self._lanes[lane].read.offset < range_.end.offset}

    def records(self, plan: Plan) -> Iterator[Record]:
        """The records of a block of which no lane is lacking. Raises LogStale if the log tells other than the plan."""
        for lane, range_ in sorted(plan.ranges.items()):
            records = list(self._within(lane, range_))
            last = (records[-1].version, records[-1].index) if records else (range_.start.version, range_.start.index)
            if len(records) != range_.records or last != (range_.end.version, range_.end.index):
                raise LogStale(
                    f"{lane.stream.value}[{lane.partition}]: block {plan.block} was planned with {range_.records} records from offset "
                    f"{range_.start.offset} to {range_.end.offset}, ending with {range_.end.version}:{range_.end.index}; the log now holds "
                    f"{len(records)} ending with {last[0]}:{last[1]}. It is not the same topic: give the sink another database"
                )
            yield from records

    def _within(self, lane: Lane, range_: Range) -> Iterator[Record]:
        for record in self._lanes[lane].records:
            if record.offset >= range_.end.offset:
                return
            yield record

    def stored(self, plan: Plan) -> None:
        """The block is stored: let go of its records."""
        for lane, range_ in plan.ranges.items():
            pending = self._lanes[lane]
            while pending.records and pending.records[0].offset < range_.end.offset:
                pending.size -= pending.records.popleft().size
            pending.stored = range_.end
            pending.oldest_at = pending.newest_at
