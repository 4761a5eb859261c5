"""The producer's side of the input topics: an idempotent Kafka producer that knows what has been acknowledged, and where."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message

from schemas.acknowledged import Offsets
from schemas.kafka_client import Producer
from schemas.touchpoint import KINDS, Kind
from sources.errors import DeliveryFailed

Log = tuple[str, int]
"""A topic, prefix included, and a partition of it."""

_IDLE_SECONDS = 0.001
PRODUCER: dict[str, object] = {
    # Without it librdkafka may reorder a new topic's first batches.
    "enable.idempotence": True,
    "linger.ms": 2,
    # aiokafka reads nothing but gzip without further packages, and gzip costs more than all the rest of producing.
    "compression.type": "none",
    "queue.buffering.max.messages": 500_000,
    "message.timeout.ms": 60_000,
}
"""The settings of every producer of touchpoints."""


class KafkaLog:
    """Writes records to given partitions. For one event loop; nothing here blocks for longer than a send.

    `ends` are, by log, the offsets after the last acknowledged record. `settings` are librdkafka's (security and the like), over
    the defaults here; `prefix` comes before every topic name.
    """

    def __init__(self, bootstrap: str, *, prefix: str = "", settings: Mapping[str, object] | None = None) -> None:
        self.ends: dict[Log, int] = {}
        self._topics = {kind: prefix + kind.topic for kind in KINDS}
        self._unacknowledged = 0
        self._error: str | None = None
        self._offsets = Offsets()
        config = {**PRODUCER, **(settings or {}), "bootstrap.servers": bootstrap, "error_cb": self._on_error}
        self._producer = Producer(config)

    def topic(self, kind: Kind) -> str:
        """The name of `kind`'s topic."""
        return self._topics[kind]

    async def send(self, kind: Kind, partition: int, key: bytes | None, value: bytes) -> None:
        """Hands a record over; waits only while the producer's own queue is full. Raises DeliveryFailed."""
        await self.send_to(self._topics[kind], partition, key, value)

    async def send_to(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """As `send`, to a topic by its full name."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=self._on_delivery)
            except BufferError:
                self.poll()
                await asyncio.sleep(_IDLE_SECONDS)
            except KafkaException as error:
                raise DeliveryFailed(f"expected {topic}[{partition}] to take {len(value)} bytes, found: {error}") from None
            else:
                self._unacknowledged += 1
                return

    async def drained(self) -> None:
        """Returns when Kafka has acknowledged all that was sent. Raises DeliveryFailed."""
        self.poll()
        while self._unacknowledged:
            await asyncio.sleep(_IDLE_SECONDS)
            self.poll()

    def close(self) -> None:
        """Gives up what has not been acknowledged, and ends the producer's threads. To be called once."""
        self._producer.purge()
        self._producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self) -> None:
        """Takes in what Kafka has answered. Raises DeliveryFailed for any failure so far."""
        self._producer.poll(0)
        if self._error is not None:
            raise DeliveryFailed(f"expected Kafka to take every record, found: {self._error}")

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        self._unacknowledged -= 1
        wrong = self._offsets.failure(error, message)
        if wrong is not None:
            self._error = self._error or wrong
            return
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and partition is not None and offset is not None:  # as every delivered message has
            self.ends[topic, partition] = offset + 1

    def _on_error(self, error: KafkaError) -> None:
        # All others are librdkafka's to retry, and end in a delivery error if that does not help.
        if error.fatal():
            self._error = self._error or error.str()
