"""Reading the input logs: a librdkafka consumer without a group, told what to read and from where.

Who reads what is decided by the group that Faust's consumer is a member of; the truth about where to begin is in Redis.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from schemas.kafka_client import Consumer

Place = tuple[str, int]
"""(topic as the broker names it, partition)"""

_MOST = 10_000
_IDLE_S = 0.005
_MEET_S = 1.0
_DEFAULTS: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "fetch.queue.backoff.ms": 5,
    "fetch.wait.max.ms": 100,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 4_096,
    # Dead letters are larger than touchpoints, and a broker may hold either.
    "fetch.message.max.bytes": 1_048_576,
}


class Fetched(NamedTuple):
    """What came of one log: records in order, and whether they reach its end as of this fetch.

    `begin` is where the fetch before it ended, so that a batch lost on the way shows; `generation` that of the assignment.
    """

    messages: list[Message]
    at_end: bool
    begin: int
    generation: int


class LogReader:
    """Fetches batches of the assigned logs. One coroutine at a time."""

    def __init__(self, kafka: dict[str, Any]) -> None:
        self._consumer = Consumer({**kafka, **_DEFAULTS, "group.id": "rflow-reader"})
        self._paused: set[Place] = set()
        self.assigned: set[Place] = set()
        """the logs being read"""
        self.generation = 0
        """grows with every assignment: what was fetched under an earlier one is not to be used"""
        self._positions: dict[Place, int] = {}
        self._met: set[str] = set()
        self._asking = threading.Lock()
        self._closed = False

    async def meet(self, topics: set[str]) -> None:
        """Finds out who leads the partitions of these topics, unless it is known: of one that it does not know librdkafka asks with its
        next turn alone, up to a second after it has been told to read it."""
        for topic in sorted(topics - self._met):
            try:
                await asyncio.to_thread(self._ask, topic)
            except KafkaException:
                return  # its next turn is to follow
            self._met.add(topic)

    def _ask(self, topic: str) -> None:
        with self._asking:
            if not self._closed:
                self._consumer.list_topics(topic, _MEET_S)

    def assign(self, begin: dict[Place, int]) -> None:
        """From now on reads these logs, each from its offset, and no others."""
        self.generation += 1
        self._paused.clear()
        self.assigned = set(begin)
        self._positions = dict(begin)
        self._consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in begin.items()])

    def add(self, begin: dict[Place, int]) -> None:
        """Reads these logs too, each from its offset; what is fetched belongs to the present assignment."""
        self.assigned |= begin.keys()
        self._positions |= begin
        self._consumer.incremental_assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in begin.items()])

    def pause(self, full: set[Place]) -> None:
        """Fetches nothing of the logs in `full`, and everything of the others."""
        full &= self.assigned
        if full == self._paused:
            return
        if stop := full - self._paused:
            self._consumer.pause([TopicPartition(*place) for place in stop])
        if go := self._paused - full:
            self._consumer.resume([TopicPartition(*place) for place in go])
        self._paused = set(full)

    async def fetch(self, timeout: float) -> dict[Place, Fetched]:
        """What has arrived, by log; {} after `timeout` seconds without news. Raises KafkaException on an error that does not mend.

        A fetch that was begun under an earlier assignment ends with nothing: Faust drops what it brings while shards are being taken.
        """
        deadline, generation = asyncio.get_running_loop().time() + timeout, self.generation
        while generation == self.generation:
            messages = self._consumer.consume(_MOST, 0)
            if messages:
                return self._by_log(messages)
            if asyncio.get_running_loop().time() >= deadline:
                return {}
            await asyncio.sleep(_IDLE_S)
        return {}

    def high_watermark(self, place: Place) -> int:
        """The end of the log as of the last fetch, -1 if none was made yet."""
        high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        return -1 if high is None else int(high[1])

    def close(self) -> None:
        """Ends the consumer, once nobody asks through it; that takes up to a second."""
        with self._asking:
            self._closed = True
            self._consumer.close()

    def _by_log(self, messages: list[Message]) -> dict[Place, Fetched]:
        found: defaultdict[Place, list[Message]] = defaultdict(list)
        ended: set[Place] = set()
        for message in messages:
            place: Place = (message.topic(), message.partition())  # type: ignore[assignment]  # fetched messages have both
            error = message.error()
            if place not in self._positions and (error is None or not error.fatal()):
                continue
            if error is None:
                found[place].append(message)
                ended.discard(place)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(place)
            elif error.fatal() or error.code() in _FINAL:
                raise KafkaException(error)
        return {place: self._fetched(place, found[place], place in ended) for place in ended | found.keys()}

    def _fetched(self, place: Place, messages: list[Message], ended: bool) -> Fetched:
        begin = self._positions[place]
        if messages:
            self._positions[place] = (messages[-1].offset() or 0) + 1
        return Fetched(messages, ended or self._reaches_end(place, messages), begin, self.generation)

    def _reaches_end(self, place: Place, messages: list[Message]) -> bool:
        return bool(messages) and (messages[-1].offset() or 0) + 1 >= self.high_watermark(place) > -1


_FINAL = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
