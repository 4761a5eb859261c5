"""The idempotent publisher: outbox entries to Kafka, in order, with a word back when all of an entry has been acknowledged.

An acknowledgement that may not be believed ends it: everything goes out again from the outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, Message

from schemas.acknowledged import Offsets
from schemas.kafka_client import Producer
from streams.crash import CrashPoint, crash_point
from streams.errors import PublisherClosed
from streams.outbox import Entry, outputs

_POLL_S = 0.002
_DEFAULTS: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    # Never give up inside an entry: a record left out would be a hole that the subscriber's rule cannot see.
    "message.timeout.ms": 0,
    # How long the broker waits for its replicas: less than the client waits for the broker. What may have been written is sent again, and
    # told apart by its sequence number.
    "request.timeout.ms": 2_500,
    "linger.ms": 2,
    "compression.type": "lz4",
    "message.max.bytes": 5_000_000,
    "queue.buffering.max.messages": 1_000_000,
    "partitioner": "murmur2_random",
}


class Publisher:
    """One producer for all shards of a worker. `run` must be running for acknowledgements to arrive."""

    def __init__(self, kafka: dict[str, Any], topic_prefix: str = "") -> None:
        self._prefix = topic_prefix
        self._failure: str | None = None
        self._producer = Producer({**kafka, **_DEFAULTS, "error_cb": self._on_error})
        self._offsets = Offsets()
        self._in_flight = 0
        self._sent = asyncio.Event()
        self._closed = False

    async def publish(self, entry: Entry, done: Callable[[], None]) -> None:
        """Hands every record of the entry to the producer, in order; `done` is called once all are acknowledged.

        Raises PublisherClosed if the producer has met a fatal error.
        """
        records = outputs(entry)
        left = len(records)

        def acknowledged(error: KafkaError | None, record: Message) -> None:
            nonlocal left
            self._in_flight -= 1
            wrong = self._offsets.wrong(record) if error is None else error
            if wrong is not None:
                self._fail(f"a record of step {entry.version} of shard {entry.shard} was refused: {wrong}")
                return
            left -= 1
            if left == 0:
                done()

        for i, record in enumerate(records):
            if i == 1:
                crash_point(CrashPoint.PUBLISH_INSIDE_ENTRY)
            await self._produce(record, acknowledged)
        self._sent.set()

    async def _produce(self, record: Any, acknowledged: Callable[..., None]) -> None:
        while True:
            if self._failure is not None:
                raise PublisherClosed(self._failure)
            try:
                self._producer.produce(
                    self._prefix + record.topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=record.headers,
                    on_delivery=acknowledged,
                )
            except BufferError:
                self._producer.poll(0)
                await asyncio.sleep(_POLL_S)
            else:
                self._in_flight += 1
                return

    async def run(self) -> None:
        """Serves acknowledgements until `close`. Raises PublisherClosed on a fatal error."""
        while not self._closed:
            if self._in_flight == 0:
                self._sent.clear()
                try:
                    async with asyncio.timeout(1.0):
                        await self._sent.wait()
                except TimeoutError:
                    pass
            self._producer.poll(0)
            if self._failure is not None:
                raise PublisherClosed(self._failure)
            await asyncio.sleep(_POLL_S)

    async def close(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for what is in flight; the rest stays in the outbox and is published by the next owner."""
        deadline = asyncio.get_running_loop().time() + timeout
        while self._in_flight and self._failure is None and asyncio.get_running_loop().time() < deadline:
            self._producer.poll(0)
            await asyncio.sleep(_POLL_S)
        self._closed = True
        self._sent.set()
        self._producer.purge()
        self._producer.poll(0)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fail(f"the producer met a fatal error: {error}")

    def _fail(self, why: str) -> None:
        if self._failure is None and not self._closed:
            self._failure = why
            self._producer.purge()
            self._sent.set()
