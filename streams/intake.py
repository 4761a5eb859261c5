"""A shard's intake: the four logs of its topics, buffered and merged by time. Pure but for the clock passed in.

The merge takes the head with the earliest time, in the order of KINDS at equal times, each log in its own order. That is the same as
sorting by (highest time so far in the log, topic, offset), which is what `order` in a Record is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from schemas.deadletter import InvalidRecord
from schemas.times import LAST_MS
from schemas.touchpoint import KINDS, Kind, Tick, Touchpoint
from streams.fold import Message, Record

_TOPICS = len(KINDS)
_UNBOUNDED = (LAST_MS + 1) * _TOPICS
SHORT_WAIT_S = 0.02
"""Live: how long a caught-up, empty log may hold the others' heads back."""
LONGEST_HOLD_S = 2.0
"""Live: how long any log may."""

Read = Callable[[Kind, bytes | None], "Touchpoint | Tick"]


class Log:
    """One topic's part of the intake. `last` is the last offset taken into the buffer, -1 for none."""

    def __init__(self, topic: int, last: int, reached: int) -> None:
        self.topic = topic
        self.last = last
        self.caught_up = False
        self.buffer: list[Record] = []
        self._highest = max(reached, 0)
        self._reached = reached

    def add(self, messages: Sequence[Message], read: Read) -> None:
        """Decodes and buffers what was fetched; what is not above the last offset taken is a leftover of an earlier fetch."""
        kind, topic = KINDS[self.topic], self.topic
        highest, last, append = self._highest, self.last, self.buffer.append
        for message in messages:
            offset = message.offset()
            if offset is None or offset <= last:
                continue
            last = offset
            item: Touchpoint | Tick | InvalidRecord
            try:
                item = read(kind, message.value())
            except InvalidRecord as invalid:
                item = invalid
            else:
                at: int = item.occurred_at  # type: ignore[assignment]
                if at > highest:
                    highest = at
                known = at if type(item) is Tick else at - 1
                if known > self._reached:
                    self._reached = known
            append((highest * _TOPICS + topic, offset, topic, item, message))
        self._highest, self.last = highest, last

    def limit(self) -> int:
        """The highest merge order up to which nothing unknown of this log can come before: its last record's, or what it has reached."""
        known = self._reached * _TOPICS + _TOPICS - 1
        return max(known, self.buffer[-1][0]) if self.buffer else known


class Intake:
    """The logs of one shard. `strict` waits for every log to show that it has reached a time; live waits only so long."""

    def __init__(self, offsets: list[int], reached: list[int], *, strict: bool) -> None:
        self.logs = [Log(i, offsets[i], reached[i]) for i in range(_TOPICS)]
        self.forced = 0
        """how many steps took heads because they had been held for the longest time allowed"""
        self._strict = strict
        self._held_since: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is buffered."""
        return not any(log.buffer for log in self.logs)

    @property
    def is_caught_up(self) -> bool:
        """Whether every log's end has been reached and nothing is buffered."""
        return all(log.caught_up and not log.buffer for log in self.logs)

    @property
    def is_held(self) -> bool:
        """Whether heads wait for news of another log."""
        return self._held_since is not None

    def wait_hint(self, now: float) -> float | None:
        """Seconds until held heads may be taken without anything new arriving; None when only news can help."""
        if self._strict or self._held_since is None:
            return None
        empty = [log for log in self.logs if not log.buffer]
        bound = SHORT_WAIT_S if all(log.caught_up for log in empty) else LONGEST_HOLD_S
        return max(0.0, self._held_since + bound - now)

    def take(self, most: int, now: float) -> list[Record]:
        """At most `most` records in merge order, as far as they may be taken now (`now`: monotonic seconds); [] if none may."""
        limits = [log.limit() for log in self.logs]
        if not self._strict:
            self._loosen(limits, now)
        prefixes: list[Record] = []
        for i, log in enumerate(self.logs):
            if log.buffer:
                bound = min(limits[j] for j in range(_TOPICS) if j != i)
                end = min(most, bisect_right(log.buffer, bound, key=_order))
                prefixes += log.buffer[:end]
        if not prefixes:
            if self._held_since is None and not self.is_empty:
                self._held_since = now
            return []
        self._held_since = None
        prefixes.sort()  # decided by (order, offset): no two records share both
        taken = prefixes[:most]
        topics = [record[2] for record in taken]
        for i, log in enumerate(self.logs):
            del log.buffer[: topics.count(i)]
        return taken

    def _loosen(self, limits: list[int], now: float) -> None:
        held = 0.0 if self._held_since is None else now - self._held_since
        forced = held >= LONGEST_HOLD_S
        for i, log in enumerate(self.logs):
            if not log.buffer and (forced or (log.caught_up and held >= SHORT_WAIT_S)):
                limits[i] = _UNBOUNDED
        if forced and any(not log.buffer and not log.caught_up for log in self.logs):
            self.forced += 1


def _order(record: Record) -> int:
    return record[0]
