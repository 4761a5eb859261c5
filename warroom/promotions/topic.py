"""The `promotions` topic: versions are written to it in order, and read back whole when Redis knows of nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from schemas.acknowledged import Offsets
from schemas.cloudevents import cloudevent
from schemas.kafka_client import Consumer, Producer
from schemas.promotion import CE_TYPE, Promotion
from warroom.promotions.book import Waiting, decode
from warroom.promotions.errors import DeskAway

log = logging.getLogger("rflow.promotions")

TOPIC = "promotions"
DELIVERY_SECONDS = 10.0
"""After so long without an acknowledgement a record stays in the outbox. Below `book._STALE_MS`."""

_READ_SECONDS = 30.0
_FINAL = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
"""What waiting does not mend."""
_PRODUCER: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": int(DELIVERY_SECONDS * 1000),
    "linger.ms": 0,
    "partitioner": "murmur2_random",
}


class PromotionTopic:
    """The topic with its `prefix`, of `partitions` partitions. `kafka` is librdkafka's configuration. Not safe for several threads."""

    def __init__(self, kafka: dict[str, Any], prefix: str, partitions: int) -> None:
        self._kafka = kafka
        self._name = f"{prefix}{TOPIC}"
        self._partitions = partitions
        self._producer: Producer | None = None
        self._offsets = Offsets()

    def publish(self, versions: Sequence[Waiting]) -> None:
        """Write the versions in order and wait until all are acknowledged. Raises DeskAway if one is not: some may be."""
        if self._producer is None:
            self._producer, self._offsets = Producer({**self._kafka, **_PRODUCER}), Offsets()
        producer, failed = self._producer, list[str]()

        def acknowledged(error: KafkaError | None, record: Message) -> None:
            if (wrong := self._offsets.failure(error, record)) is not None:
                failed.append(wrong)

        try:
            for one in versions:
                producer.produce(self._name, one.record, one.promotion_id, headers=headers(one), on_delivery=acknowledged)
            left = producer.flush(DELIVERY_SECONDS + 1)
        except (KafkaException, BufferError) as error:
            self.close()
            raise DeskAway(f"Kafka does not take {self._name}: {error}") from error
        if failed or left:
            self.close()  # an idempotent producer that has given up a record would go on behind a hole
            raise DeskAway(f"Kafka does not take {self._name}: {failed[0] if failed else 'no answer'}")

    def read_all(self) -> list[tuple[Promotion, bytes]]:
        """Every version that the topic holds now, in no order across promotions. Raises DeskAway.

        What is no promotion is passed over, and told in the log.
        """
        consumer = Consumer({**self._kafka, "group.id": "rflow-promotions", "enable.auto.commit": False, "enable.partition.eof": True})
        try:
            return self._read(consumer)
        except KafkaException as error:
            raise DeskAway(f"{self._name} cannot be read: {error.args[0].str()}; if it is not there yet: `rflow init`") from error
        finally:
            consumer.close()

    def _read(self, consumer: Consumer) -> list[tuple[Promotion, bytes]]:
        """Each partition up to where its end is seen."""
        consumer.assign([TopicPartition(self._name, partition, OFFSET_BEGINNING) for partition in range(self._partitions)])
        unread = set(range(self._partitions))
        found: list[tuple[Promotion, bytes]] = []
        until = time.monotonic() + _READ_SECONDS
        while unread:
            if time.monotonic() > until:
                raise DeskAway(f"Kafka does not give {self._name}: partitions {sorted(unread)} not read in {_READ_SECONDS:.0f} s")
            for message in consumer.consume(500, 0.1):
                error = message.error()
                if error is None:
                    found += _promotions(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition() or 0)
                elif error.fatal() or error.code() in _FINAL:
                    raise KafkaException(error)
        return found

    def close(self) -> None:
        """Let go of the producer; the next version makes a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0)


def headers(one: Waiting) -> list[tuple[str, str | bytes | None]]:
    """The CloudEvents headers of a version."""
    return [*cloudevent("/rflow/promotions", f"{one.promotion_id}:{one.version}", CE_TYPE, decode(one.record).changed_at)]


def _promotions(message: Message) -> list[tuple[Promotion, bytes]]:
    value = message.value()
    if value is None:
        return []
    try:
        return [(decode(value), value)]
    except (msgspec.DecodeError, ValueError) as error:
        log.error("%s[%s] offset %s is no promotion: %s", message.topic(), message.partition(), message.offset(), error)
        return []
