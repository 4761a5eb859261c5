"""Reading the input topics back, partition by partition, in the order in which the shard took them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import Message

from schemas.deadletter import InvalidRecord
from schemas.touchpoint import KINDS, Tick, Touchpoint
from schemas.validate import Validator
from sinks.bounded import BoundedReader
from streams.fold import Record
from streams.headers import read_headers
from streams.intake import Log


class InputReader:
    """Reads whole partitions of the input topics up to given offsets. Blocking."""

    def __init__(self, kafka: dict[str, Any], topic_prefix: str, validator: Validator, *, timeout: float = 30.0) -> None:
        self._reader = BoundedReader(kafka, "rflow-check", timeout=timeout)
        self._prefix = topic_prefix
        self._validator = validator

    def close(self) -> None:
        """Ends the consumer."""
        self._reader.close()

    def missing(self, partition: int) -> int:
        """How many records of the partition's logs are no longer there."""
        return sum(self._reader.bounds(self._prefix + kind.topic, partition)[0] for kind in KINDS)

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
        """(topic index, offset) of the partition's records that became dead letters although they are valid by now: their time has come,
        or the ladder has been mended."""
        topic = self._prefix + "deadletters"
        index = {kind.topic.encode(): i for i, kind in enumerate(KINDS)}
        found: set[tuple[int, int]] = set()
        for messages in self._reader.batches(topic, partition, *self._reader.bounds(topic, partition)):
            for message in messages:
                told: dict[str, Any] = dict(read_headers(message))
                if told.get("topic") in index and self._is_valid(index[told["topic"]], message):
                    found.add((index[told["topic"]], int(told["offset"])))
        return found

    def _is_valid(self, topic: int, message: Message) -> bool:
        try:
            self._validator.validate(KINDS[topic], message.value())
        except InvalidRecord:
            return False
        return True

    def _log(self, topic: int, partition: int, applied: int, on_read: Callable[[int], None]) -> list[Record]:
        name = self._prefix + KINDS[topic].topic
        low, high = self._reader.bounds(name, partition)
        log = Log(topic, low - 1, -1)
        for messages in self._reader.batches(name, partition, low, min(applied + 1, high)):
            log.add(messages, self._validator.validate)
            on_read(len(messages))
        return log.buffer
