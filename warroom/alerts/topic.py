"""The `alerts` topic as one of the ways out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message

from schemas.acknowledged import Offsets
from schemas.alert import CE_TYPE, Alert
from schemas.cloudevents import cloudevent
from schemas.kafka_client import Producer
from sinks.channels.delivery import TryLater

TOPIC = "alerts"
SOURCE = "/rflow/alerts"
"""By this header a record is known for one of the engine's."""
_SECONDS = 10.0


class AlertTopic:
    """Writes every state in order, keyed by alert. A repeat carries the version it has, and readers keep the highest."""

    name = TOPIC
    batch = 500
    a_minute: int | None = None
    may_repeat = True

    def __init__(self, kafka: dict[str, Any], prefix: str) -> None:
        settings = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": int(_SECONDS * 1000), "partitioner": "murmur2_random"}
        self._kafka = {**kafka, **settings}
        self._topic = f"{prefix}{TOPIC}"
        self._producer: Producer | None = None
        self._offsets = Offsets()

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Write and wait for the acknowledgements. Raises TryLater."""
        if self._producer is None:
            self._producer, self._offsets = Producer(self._kafka), Offsets()
        failed: list[str] = []

        def acknowledged(error: KafkaError | None, record: Message) -> None:
            if (wrong := self._offsets.failure(error, record)) is not None:
                failed.append(wrong)

        try:
            for one in alerts:
                self._producer.produce(
                    self._topic,
                    msgspec.json.encode(one),
                    one.alert_id,
                    headers=_headers(one),
                    on_delivery=acknowledged,
                )
            left = self._producer.flush(_SECONDS + 1)
        except (KafkaException, BufferError) as error:
            failed, left = [str(error)], 0
        if failed or left:
            self.close()  # an idempotent producer that has given up a record would go on behind a hole
            raise TryLater(f"Kafka does not take {self._topic}: {failed[0] if failed else 'no answer'}", 2.0)

    def close(self) -> None:
        """Let go of the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0)


def _headers(alert: Alert) -> list[tuple[str, str | bytes | None]]:
    return [*cloudevent(SOURCE, f"{alert.alert_id}:{alert.version}", CE_TYPE, alert.at)]
