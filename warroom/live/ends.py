"""The ends of the input logs. Blocking."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from schemas.kafka_client import AdminClient
from schemas.touchpoint import KINDS

_REQUEST_SECONDS = 3.0
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class InputEnds:
    """Asks Kafka for the end of every input log."""

    def __init__(self, kafka: Mapping[str, str | int | float | bool], topic_prefix: str, partitions: int) -> None:
        self._kafka = {"log_level": 0, **kafka}
        self._admin = AdminClient(dict(self._kafka))
        self._topics = [topic_prefix + kind.topic for kind in KINDS]
        self._partitions = partitions

    def read(self) -> list[list[int]]:
        """By shard, then by topic in the order of `KINDS`, the offset the next record gets. Raises KafkaException."""
        places = {TopicPartition(topic, shard): (shard, i) for i, topic in enumerate(self._topics) for shard in range(self._partitions)}
        ends = [[0] * len(self._topics) for _ in range(self._partitions)]
        try:
            for place, answer in self._admin.list_offsets(dict.fromkeys(places, _LATEST), request_timeout=_REQUEST_SECONDS).items():
                shard, i = places[place]
                ends[shard][i] = answer.result().offset
        except KafkaException:
            # a client that has asked before goes on asking the leader of then
            self._admin = AdminClient(dict(self._kafka))
            raise
        return ends
