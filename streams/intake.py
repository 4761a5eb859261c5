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

HEAVY_BYTES = 16_384
"""Records above this are weighed: nearly all are light, and thousands of heavy ones, junk mostly, would not fit into one step."""
MOST_BYTES = 8_000_000
"""A step takes no more once its records weigh this, be it a single one."""

Read = Callable[[Kind, bytes | None], "Touchpoint | Tick"]


class Log:
    """One topic's part of the intake. `last` is the last offset taken into the buffer, -1 for none; `heavy` what the heavy ones of the
    buffered records weigh together."""

    def __init__(self, topic: int, last: int, reached: int) -> None:
        self.topic = topic
        self.last = last
        self.caught_up = False
        self.buffer: list[Record] = []
        self.heavy = 0
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
            value = message.value()
            if value is not None and len(value) > HEAVY_BYTES:
                self.heavy += len(value)
            item: Touchpoint | Tick | InvalidRecord
            try:
                item = read(kind, value)
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
        self.is_held = False
        """whether heads wait for news of another log"""
        self._strict = strict
        self._since: list[float | None] = [None] * _TOPICS
        """since when each log's head has been waiting, as far as is known"""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is buffered."""
        return not any(log.buffer for log in self.logs)

    @property
    def is_caught_up(self) -> bool:
        """Whether every log's end has been reached and nothing is buffered."""
        return all(log.caught_up and not log.buffer for log in self.logs)

    def wait_hint(self, now: float) -> float | None:
        """Seconds until held heads may be taken without anything new arriving; None when only news can help."""
        if self._strict or not self.is_held:
            return None
        empty = [log for log in self.logs if not log.buffer]
        bound = SHORT_WAIT_S if all(log.caught_up for log in empty) else LONGEST_HOLD_S
        return max(0.0, bound - self._held(now))

    def take(self, most: int, now: float) -> list[Record]:
        """At most `most` records in merge order, as far as they may be taken now (`now`: monotonic seconds); [] if none may."""
        limits = [log.limit() for log in self.logs]
        if not self._strict:
            self._loosen(limits, now)
        bounds = [min(limits[j] for j in range(_TOPICS) if j != i) for i in range(_TOPICS)]
        prefixes: list[Record] = []
        for log, bound in zip(self.logs, bounds, strict=True):
            if log.buffer:
                prefixes += log.buffer[: min(most, bisect_right(log.buffer, bound, key=_order))]
        prefixes.sort()  # decided by (order, offset): no two records share both
        taken = prefixes[:most]
        if any(log.heavy for log in self.logs):
            taken = self._weighed(taken)
        topics = [record[2] for record in taken]
        for i, log in enumerate(self.logs):
            count = topics.count(i)
            del log.buffer[:count]
            if not log.buffer:
                self._since[i] = None
            elif self._since[i] is None or (count and log.buffer[0][0] > bounds[i]):
                self._since[i] = now
        self.is_held = not taken and not self.is_empty
        return taken

    def _weighed(self, records: list[Record]) -> list[Record]:
        """As many of the records as one step can carry, at least one; what is taken weighs on its log no longer."""
        total = 0
        for i, (_, _, topic, _, message) in enumerate(records):
            size = len(message.value() or b"")
            total += size
            if total > MOST_BYTES and i:
                return records[:i]
            if size > HEAVY_BYTES:
                self.logs[topic].heavy -= size
        return records

    def _held(self, now: float) -> float:
        return now - min((since for since in self._since if since is not None), default=now)

    def _loosen(self, limits: list[int], now: float) -> None:
        """Lifts the limits of logs that have held a head long enough: of idle ones that are caught up soon, of any at the bound."""
        held = self._held(now)
        for i, log in enumerate(self.logs):
            if held >= SHORT_WAIT_S and log.caught_up and not log.buffer:
                limits[i] = _UNBOUNDED
        if held >= LONGEST_HOLD_S and any(limit < log.buffer[0][0] for log in self.logs if log.buffer for limit in limits):
            self.forced += 1
            limits[:] = [_UNBOUNDED] * _TOPICS


def _order(record: Record) -> int:
    return record[0]
