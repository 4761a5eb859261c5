"""Reading the input topics back, partition by partition, in the order in which the shard took them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.deadletter import InvalidRecord, Reason
from schemas.touchpoint import KINDS, Tick, Touchpoint
from schemas.validate import Validator
from streams.fold import Record
from streams.intake import Log

_BATCH = 10_000


class InputReader:
    """Reads whole partitions of the input topics up to given offsets. Blocking."""

    def __init__(self, kafka: dict[str, Any], topic_prefix: str, validator: Validator, *, timeout: float = 30.0) -> None:
        options = {
            "group.id": "rflow-check",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.queue.backoff.ms": 5,
            "fetch.wait.max.ms": 10,
        }
        self._consumer = Consumer({**kafka, **options, "queued.max.messages.kbytes": 16_384})
        self._prefix = topic_prefix
        self._validator = validator
        self._timeout = timeout

    def close(self) -> None:
        """Ends the consumer."""
        self._consumer.close()

    def missing(self, partition: int) -> int:
        """How many records of the partition's logs are no longer there."""
        return sum(self._bounds(kind.topic, partition)[0] for kind in KINDS)

    def records(
        self, partition: int, applied: list[int], on_read: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[int, Touchpoint | Tick | InvalidRecord, Message]]:
        """(topic index, what was read, the record) of all records up to the applied offsets, in merge order.

        Raises KafkaException, or TimeoutError if the broker falls silent.
        """
        logs = [self._log(i, partition, applied[i], on_read) for i in range(len(KINDS))]
        merged: Iterator[Record] = heapq.merge(*logs, key=lambda record: record[:2])
        for _, _, topic, item, message in merged:
            yield topic, item, message  # type: ignore[misc]

    def refused(self, partition: int) -> set[tuple[int, int]]:
        """(topic index, offset) of the partition's records that became dead letters because they lay in the future: by now they may not."""
        low, high = self._bounds("deadletters", partition)
        found: set[tuple[int, int]] = set()
        index = {kind.topic.encode(): i for i, kind in enumerate(KINDS)}
        if high > low:
            for messages in self._batches("deadletters", partition, low, high):
                for message in messages:
                    told: dict[str, Any] = dict(message.headers() or ())
                    if told.get("reason") == Reason.FUTURE.value.encode() and told.get("topic") in index:
                        found.add((index[told["topic"]], int(told["offset"])))
        return found

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(self._prefix + topic, partition), timeout=self._timeout)
        return low, high

    def _log(self, topic: int, partition: int, applied: int, on_read: Callable[[int], None]) -> list[Record]:
        name = KINDS[topic].topic
        low, high = self._bounds(name, partition)
        end = min(applied + 1, high)
        log = Log(topic, low - 1, -1)
        if end <= low:
            return []
        for messages in self._batches(name, partition, low, end):
            log.add(messages, self._validator.validate)
            on_read(len(messages))
        return log.buffer

    def _batches(self, name: str, partition: int, low: int, end: int) -> Iterator[list[Message]]:
        """The records of a log from offset `low` to `end` (exclusive)."""
        self._consumer.assign([TopicPartition(self._prefix + name, partition, low)])
        last, deadline = low - 1, time.monotonic() + self._timeout
        while last < end - 1:
            messages = self._consumer.consume(_BATCH, 0.01)
            for message in messages:
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
            good = [message for message in messages if message.error() is None and (message.offset() or 0) < end]
            if good:
                last, deadline = good[-1].offset() or 0, time.monotonic() + self._timeout
                yield good
            elif time.monotonic() > deadline:
                raise TimeoutError(f"expected {name} [{partition}] to be readable up to offset {end - 1}, found nothing after {last}")
