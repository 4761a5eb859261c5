"""Follows `transitions` exactly once: in batches, under the subscriber's rule, from where the subscriber's own results end.

    with closing(Subscriber({"bootstrap.servers": "localhost:9092"}, positions=stored)) as subscriber:
        for batch in subscriber.batches():
            ...  # store batch.transitions and batch.moves, in one transaction

Kafka's committed offsets are neither read nor written. Needs msgspec and confluent-kafka alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct
from msgspec.structs import replace

from schemas.kafka_client import Consumer
from schemas.positions import Move, Position
from schemas.subscriber import Filter, Received, SubscriberRule, decode_transition

Start = Literal["beginning", "end"] | datetime
"""Where a partition without a position begins: at the oldest record kept, behind the newest, or at the first published at that instant or
later. A time or the end may bring a few of before once more, where rflow repeats itself just then."""

T = TypeVar("T")
_AGAIN_S = 0.05
_LOOK_S = 30.0
"""So often it looks whether the topic has got more partitions."""
_MOVING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
_OPTIONS: dict[str, Any] = {
    "group.id": "rflow-subscriber",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": 16_384,
}


class RecordsMissed(Exception):
    """The log no longer reaches back to where the subscriber was: records were deleted before it had them. Take a new snapshot, or go on
    without them (`accept_gap`)."""


class OtherLog(Exception):
    """The log ends before the subscriber's position, or has other partitions: it is not the one that was followed."""


class Unreadable(Struct, frozen=True, kw_only=True):
    """A record on the topic that is no transition: rflow did not write it. It is passed over."""

    partition: int
    offset: int
    why: str


class Batch(Struct, kw_only=True):
    """What came at once: the new transitions that are wanted, in order within their partition, and the positions that they lead to.

    Store both together. `repeats` counts what the rule dropped, `unwanted` what the filter did. A batch can be without transitions: its
    moves are still to be stored, or the same records are read again after a restart.
    """

    transitions: list[Received]
    moves: dict[int, Move]
    repeats: int = 0
    unwanted: int = 0
    unreadable: list[Unreadable] = []


class Subscriber:
    """A reader of the partitions of `topic` (its full name). Blocking, for one thread.

    `positions` are those stored; partitions without one begin at `start`, or where others have one at their own beginning: they have been
    added since. `partitions` None reads all of them, also those that are added meanwhile. `kafka` are librdkafka's options. A batch that
    could not be stored is not told again: close, and begin anew with what is stored.
    """

    def __init__(
        self,
        kafka: Mapping[str, Any],
        *,
        topic: str = "transitions",
        positions: Mapping[int, Position] | None = None,
        start: Start = "beginning",
        wanted: Filter | None = None,
        partitions: Collection[int] | None = None,
        accept_gap: bool = False,
        timeout: float = 10.0,
    ) -> None:
        """Raises KafkaException where Kafka does not answer within `timeout` seconds, RecordsMissed, OtherLog."""
        self.topic = topic
        self.missed = 0
        self._wanted = wanted or Filter()
        self._timeout = timeout
        self._consumer = Consumer({**_OPTIONS, **kafka})
        try:
            self._stored: dict[int, Position] = dict(positions or {})
            self._reads_all = partitions is None
            self._looked = time.monotonic()
            self.positions = self._begin(start, partitions, accept_gap=accept_gap)
        except BaseException:
            self._consumer.close()
            raise
        self._rule = SubscriberRule({p: (at.version, at.index) for p, at in self.positions.items()})
        self._consumer.assign([TopicPartition(topic, p, at.offset) for p, at in self.positions.items()])

    def close(self) -> None:
        """Ends the connection to Kafka."""
        self._consumer.close()

    def batches(self, most: int = 500, seconds: float = 1.0) -> Iterator[Batch]:
        """Batch after batch without end, whenever something is to be stored."""
        while True:
            batch = self.read(most, seconds)
            if batch.moves:
                yield batch

    def read(self, most: int = 500, seconds: float = 1.0) -> Batch:
        """What there is, up to `most` records, waiting at most `seconds` for the first of them. The first batch has the positions at which
        partitions begin that had none, so that a restart begins there too.

        Raises RecordsMissed where the log is cut off meanwhile, KafkaException for what Kafka refuses. What passes by itself does not end
        it: librdkafka tries again.
        """
        if self._reads_all and time.monotonic() - self._looked >= _LOOK_S:
            self._look_for_more()
        found = self._consumer.consume(1, seconds)
        if found and most > 1:
            found += self._consumer.consume(most - 1, 0)
        batch = Batch(transitions=[], moves={})
        for message in found:
            if (error := message.error()) is not None:
                _weigh(error)
            else:
                self._take(message, batch)
        for partition, after in self.positions.items():
            before = self._stored.get(partition)
            if after != before:
                batch.moves[partition] = Move(before, after)
        self._stored |= {partition: move.after for partition, move in batch.moves.items()}
        return batch

    def behind(self) -> int:
        """How many records lie before the ends of the logs, as of the last answers of Kafka."""
        places = {p: TopicPartition(self.topic, p) for p in self.positions}
        ends = {p: self._consumer.get_watermark_offsets(place, cached=True)[1] for p, place in places.items()}
        return sum(max(0, end - self.positions[p].offset) for p, end in ends.items())

    def _take(self, message: Message, batch: Batch) -> None:
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        seen = self.positions[partition]
        try:
            one = decode_transition(message.value() or b"")
            if one.shard != partition:
                raise ValueError(f"expected a transition of shard {partition}, found one of shard {one.shard}")
        except (msgspec.DecodeError, ValueError) as error:
            batch.unreadable.append(Unreadable(partition=partition, offset=offset, why=str(error)))
            self.positions[partition] = replace(seen, offset=offset + 1)
            return
        if not self._rule.is_new(partition, one.version, one.index):
            batch.repeats += 1
            self.positions[partition] = replace(seen, offset=offset + 1)
            return
        self.positions[partition] = Position(one.version, one.index, offset + 1)
        if self._wanted.takes(one):
            batch.transitions.append(one)
        else:
            batch.unwanted += 1

    def _begin(self, start: Start, partitions: Collection[int] | None, *, accept_gap: bool) -> dict[int, Position]:
        """Where each partition begins."""
        found = self._consumer.list_topics(self.topic, timeout=self._timeout).topics[self.topic]
        if found.error is not None:
            raise KafkaException(found.error)
        chosen = sorted(found.partitions if partitions is None else partitions)
        if strange := sorted({*chosen, *(self._stored if partitions is None else ())} - set(found.partitions)):
            raise OtherLog(f"expected {self.topic} to have partition {strange[-1]}, found {len(found.partitions)} partitions")
        new = [partition for partition in chosen if partition not in self._stored]
        added = self._reads_all and bool(self._stored)
        begins = dict(zip(new, self._starts("beginning" if added else start, new), strict=True))
        return {p: begins[p] if p in begins else self._resume(p, self._stored[p], accept_gap=accept_gap) for p in chosen}

    def _look_for_more(self) -> None:
        """Reads partitions, too, that the topic has got since. While Kafka does not answer, none are known."""
        self._looked = time.monotonic()
        try:
            there = self._consumer.list_topics(self.topic, timeout=self._timeout).topics[self.topic].partitions
            new = sorted(set(there) - set(self.positions))
            begins = dict(zip(new, self._starts("beginning", new), strict=True))
        except KafkaException:
            return
        if begins:
            self.positions |= begins
            self._consumer.incremental_assign([TopicPartition(self.topic, p, at.offset) for p, at in begins.items()])

    def _starts(self, start: Start, partitions: list[int]) -> list[Position]:
        if isinstance(start, datetime):
            millis = int(start.timestamp() * 1000)
            asked = [TopicPartition(self.topic, partition, millis) for partition in partitions]
            found = self._ask(lambda: self._consumer.offsets_for_times(asked, timeout=self._timeout)) if asked else []
            offsets = [place.offset for place in found]
        else:
            offsets = [OFFSET_END if start == "end" else OFFSET_BEGINNING for _ in partitions]
        # Names of offsets become numbers here: a partition that stays silent until a restart must not begin later then.
        return [
            Position(-1, -1, offset if offset >= 0 else self._ends(partition)[1 if offset == OFFSET_END else 0])
            for partition, offset in zip(partitions, offsets, strict=True)
        ]

    def _resume(self, partition: int, at: Position, *, accept_gap: bool) -> Position:
        low, high = self._ends(partition)
        if at.offset > high:
            raise OtherLog(
                f"expected partition {partition} of {self.topic} to reach offset {at.offset}, found that it ends at {high}: "
                "it is not the log that was followed"
            )
        if at.offset < low:
            if not accept_gap:
                raise RecordsMissed(
                    f"expected partition {partition} of {self.topic} to reach back to offset {at.offset}, found that it begins at {low}: "
                    f"{low - at.offset} records are gone"
                )
            self.missed += low - at.offset
            return replace(at, offset=low)
        return at

    def _ends(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self.topic, partition)
        low, high = self._ask(lambda: self._consumer.get_watermark_offsets(place, timeout=self._timeout))
        return int(low), int(high)

    def _ask(self, question: Callable[[], T]) -> T:
        """The answer, of a partition that moves to another broker or has just been made as soon as one answers for it."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return question()
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise
            self._consumer.list_topics(self.topic, timeout=self._timeout)  # who answers for it now
            time.sleep(_AGAIN_S)


def _weigh(error: KafkaError) -> None:
    """Raises what does not pass by itself."""
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise RecordsMissed(f"the log was cut off while it was followed: {error.str()}. The next start says what is missing")
    passing = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT, KafkaError._PARTITION_EOF)
    if error.fatal() or (error.code() not in passing and not error.retriable()):
        raise KafkaException(error)
