"""Reading a partition from one offset to another, for whoever looks back instead of following."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from schemas.kafka_client import Consumer

_BATCH = 10_000
_CONSUMER: dict[str, Any] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "fetch.queue.backoff.ms": 5,
    "fetch.wait.max.ms": 10,
    "queued.max.messages.kbytes": 16_384,
}


class BoundedReader:
    """A consumer outside of every group; `timeout` in seconds. Blocking, and not for several threads."""

    def __init__(self, kafka: dict[str, Any], name: str, *, timeout: float = 30.0) -> None:
        self._consumer = Consumer({**kafka, **_CONSUMER, "group.id": name})
        self._timeout = timeout

    def close(self) -> None:
        """Ends the consumer."""
        self._consumer.close()

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset of a log and the one its next record will get. Raises KafkaException."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=self._timeout)
        return low, high

    def batches(self, topic: str, partition: int, low: int, end: int) -> Iterator[list[Message]]:
        """The records of a log from offset `low` to `end` (exclusive).

        Raises KafkaException, or TimeoutError if the broker falls silent.
        """
        if end <= low:
            return
        self._consumer.assign([TopicPartition(topic, partition, low)])
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
                raise TimeoutError(f"expected {topic} [{partition}] to be readable up to offset {end - 1}, found nothing after {last}")
