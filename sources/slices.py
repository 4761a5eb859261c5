"""Slices: the stretches in which a replay is produced, each ended by a tick.

A `strict` processor takes a record once every other log has reached its time. A tick on every log tells it so; it must stand
where the time changes, or records of one instant would be taken before others of the same instant have come. Pure: lines in,
slices out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.deadletter import InvalidRecord
from schemas.touchpoint import Kind
from schemas.validate import Validator
from sources.route import partition, route

RECORD_OVERHEAD = 24
"""What Kafka adds to key and value of a record, in bytes, about."""


class Record(NamedTuple):
    """One line on its way to `kind`'s topic and `partition`."""

    kind: Kind
    partition: int
    key: bytes | None
    value: bytes


@dataclass(slots=True)
class Slice:
    """Records in the source's order, and the time that every log has reached after them: the highest `occurred_at` of all
    valid records so far, the beginning of time while there was none: without any tick, a file that begins with megabytes of
    rubbish would wait for ever to be taken. `sizes` are the records' bytes by partition, over all topics."""

    time: int
    records: list[Record]
    sizes: list[int]


@dataclass(frozen=True, slots=True)
class SlicePolicy:
    """A slice ends at the next change of time once it has `records`, or `bytes` in any one partition; at `limit_bytes` it ends
    in the middle of an instant, which is counted: the transitions of that instant may then differ from run to run."""

    records: int = 2_000
    bytes: int = 250_000
    limit_bytes: int = 1_000_000


@dataclass(slots=True)
class SliceCounts:
    """What has gone by: records per kind, invalid ones by reason, ticks found in the source, slices cut in mid-instant."""

    records: Counter[Kind] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    ticks: int = 0
    cut_instants: int = 0
    time: int | None = None

    @property
    def events(self) -> int:
        return sum(self.records.values())


class Slicer:
    """Cuts a source's lines into slices for `partitions` partitions. `counts` grows as they are taken.

    Only what `validator` finds valid moves the time, as in the processor; it never runs backwards.
    """

    def __init__(self, validator: Validator, partitions: int, policy: SlicePolicy = SlicePolicy()) -> None:
        self.counts = SliceCounts()
        self._validator = validator
        self._partitions = partitions
        self._policy = policy
        self._instant: int | None = None
        self._records: list[Record] = []
        self._sizes = [0] * partitions
        self._largest = 0

    def slices(self, lines: Iterable[bytes]) -> Iterator[Slice]:
        """All slices of `lines`; the last one ends with them. A tick in `lines` ends its slice."""
        for line in lines:
            kind, key, _, tick = route(line)
            at = self._time_of(kind, line)
            if tick and at is not None:
                self.counts.ticks += 1
                self._move(at)
                yield self._end()
                continue
            place = partition(line, key, self._partitions)
            size = len(line) + len(key or b"") + RECORD_OVERHEAD
            if self._ends_before(at, place, size):
                yield self._end()
            if at is not None:
                self._instant = at
                self._move(at)
            self._records.append(Record(kind, place, key, line))
            self._sizes[place] += size
            self._largest = max(self._largest, self._sizes[place])
            self.counts.records[kind] += 1
        if self._records:
            yield self._end()

    def _time_of(self, kind: Kind, line: bytes) -> int | None:
        try:
            at = self._validator.validate(kind, line).occurred_at
        except InvalidRecord as error:
            self.counts.invalid[error.reason.value] += 1
            return None
        assert isinstance(at, int)
        return at

    def _ends_before(self, at: int | None, place: int, size: int) -> bool:
        """Whether the slice ends before a record of time `at` (None: an invalid one)."""
        if not self._records:
            return False
        overflows = self._sizes[place] + size > self._policy.limit_bytes
        if at is not None and at != self._instant:
            return overflows or len(self._records) >= self._policy.records or self._largest >= self._policy.bytes
        self.counts.cut_instants += overflows
        return overflows

    def _move(self, at: int) -> None:
        if self.counts.time is None or at > self.counts.time:
            self.counts.time = at

    def _end(self) -> Slice:
        ended = Slice(self.counts.time or 0, self._records, self._sizes)
        self._records, self._sizes, self._largest = [], [0] * self._partitions, 0
        return ended
