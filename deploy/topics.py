"""Creating the topics."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic
from msgspec import Struct

from deploy.security.granted import RightMissing
from schemas.kafka_client import AdminClient
from schemas.topics import load_topics

_NOT_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError._NOENT,  # no leader is known at all
)
_AGAIN_S = 0.05


class TopicsPlan(Struct, frozen=True):
    """What `create_topics` does: the topics that are missing, and those that are there, by name with prefix."""

    created: list[str]
    present: list[str]


def plan_topics(kafka: dict[str, Any], prefix: str, partitions: int, *, timeout: float = 30.0) -> TopicsPlan:
    """What `create_topics` would do. Raises KafkaException, or ValueError where a topic has another number of partitions."""
    there = AdminClient(kafka).list_topics(timeout=timeout).topics
    names = [prefix + name for name in load_topics()]
    wrong = [
        f"{name}: expected {partitions} partitions, found {len(there[name].partitions)}"
        for name in names
        if name in there and len(there[name].partitions) != partitions
    ]
    if wrong:
        raise ValueError("; ".join(wrong) + " (the number of partitions is fixed once and for all: set RFLOW_PARTITIONS to it)")
    return TopicsPlan([name for name in names if name not in there], [name for name in names if name in there])


def create_topics(kafka: dict[str, Any], prefix: str, partitions: int, replication: int, *, timeout: float = 30.0) -> TopicsPlan:
    """Creates the topics that are missing. Raises as `plan_topics` does."""
    plan = plan_topics(kafka, prefix, partitions, timeout=timeout)
    topics = load_topics()
    new = [
        NewTopic(name, num_partitions=partitions, replication_factor=replication, config=topics[name.removeprefix(prefix)].config())
        for name in plan.created
    ]
    # By a name: once it is gone its answers never come. And patient: making topics is the slowest thing that a broker is asked for.
    admin = AdminClient({**kafka, "socket.timeout.ms": round(timeout * 1000)})
    for name, future in admin.create_topics(new, operation_timeout=timeout, request_timeout=timeout).items() if new else ():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise RightMissing(f"Kafka does not allow Create on topic {name}; `rflow rights init` prints what gives it") from error
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    if new:
        _until_led(admin, dict.fromkeys(plan.created, partitions), timeout)
    return plan


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
