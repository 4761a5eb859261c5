"""Creating the topics."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from msgspec import Struct

from schemas.topics import load_topics


class TopicsPlan(Struct, frozen=True):
    """What `create_topics` did or would do, by topic name."""

    created: list[str]
    present: list[str]


def create_topics(kafka: dict[str, Any], prefix: str, partitions: int, replication: int, *, timeout: float = 30.0) -> TopicsPlan:
    """Creates the topics that are missing. Raises KafkaException, or ValueError where a topic has another number of partitions."""
    admin = AdminClient(kafka)
    wanted = {prefix + name: topic for name, topic in load_topics().items()}
    there = admin.list_topics(timeout=timeout).topics
    wrong = [
        f"{name}: expected {partitions} partitions, found {len(there[name].partitions)}"
        for name in wanted
        if name in there and len(there[name].partitions) != partitions
    ]
    if wrong:
        raise ValueError("; ".join(wrong) + " (the number of partitions is fixed once and for all: set RFLOW_PARTITIONS to it)")
    missing = [name for name in wanted if name not in there]
    if missing:
        new = [NewTopic(name, num_partitions=partitions, replication_factor=replication, config=wanted[name].config()) for name in missing]
        for future in admin.create_topics(new, operation_timeout=timeout, request_timeout=timeout).values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    return TopicsPlan(missing, [name for name in wanted if name in there])
