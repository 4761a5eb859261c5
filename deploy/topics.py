"""Creating the topics."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic
from msgspec import Struct

from schemas.topics import load_topics

_NOT_YET = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)
_AGAIN_S = 0.05


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
        _until_led(admin, dict.fromkeys(missing, partitions), timeout)
    return TopicsPlan(missing, [name for name in wanted if name in there])


def _until_led(admin: AdminClient, partitions: dict[str, int], timeout: float) -> None:
    """Returns when every partition has a leader that answers: what is produced to one before may be lost (`schemas.acknowledged`)."""
    left = {TopicPartition(name, partition) for name, count in partitions.items() for partition in range(count)}
    deadline = time.monotonic() + timeout
    while left:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        futures = admin.list_offsets(dict.fromkeys(left, latest), request_timeout=timeout)
        for place, future in futures.items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() not in _NOT_YET or time.monotonic() > deadline:
                    raise
            else:
                left.discard(place)
        if left:
            time.sleep(_AGAIN_S)
