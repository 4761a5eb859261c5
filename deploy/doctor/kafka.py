"""Kafka: topics and how they are kept, the broker's own settings, rights, the workers' group, the clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    ConfigResource,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from deploy.doctor.finding import Finding, Level, first_line, judged
from deploy.doctor.reach import beyond
from deploy.security.kafka import protocol_of
from deploy.security.render import Names, kafka_rights
from deploy.security.rights import RIGHTS, Process
from deploy.settings import Settings
from schemas.kafka_client import AdminClient
from schemas.topics import Topic, load_topics

PATIENCE = 10.0
MOST_SKEW_S = 1.0
"""Clocks that NTP keeps are within milliseconds; from a second on, figures that compare two clocks mislead."""


def look(settings: Settings, process: Process = Process.WORKER) -> Iterator[Finding]:
    """Raises KafkaException if no broker answers."""
    admin = AdminClient({**settings.kafka_client(), "socket.timeout.ms": 5_000, "log_level": 0})
    cluster = admin.list_topics(timeout=PATIENCE)
    yield Finding("kafka", Level.GOOD, f"{len(cluster.brokers)} brokers at {settings.kafka_bootstrap}")
    topics = load_topics()
    there: list[str] = []
    for name in topics:
        topic = cluster.topics.get(settings.topic_prefix + name)
        if topic is None or (topic.error is not None and topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART):
            yield Finding(f"topic {name}", Level.WRONG, "not there", "rflow init")
        elif topic.error is not None:
            yield Finding(f"topic {name}", Level.WRONG, topic.error.str(), "let this user read, write and describe it")
        else:
            there.append(name)
            yield partitions(name, len(topic.partitions), settings.partitions)
            yield replication(name, min(len(one.replicas) for one in topic.partitions.values()), len(cluster.brokers), settings)
    yield from _told(admin, settings, {name: topics[name] for name in there}, sorted(cluster.brokers), process)
    yield from _group(admin, settings)
    yield from _clock(admin, settings, {name: len(cluster.topics[settings.topic_prefix + name].partitions) for name in there})


def partitions(name: str, count: int, wanted: int) -> Finding:
    """Whether a topic has as many partitions as there are shards."""
    return judged(f"topic {name}", count == wanted, f"{count} partitions", f"set RFLOW_PARTITIONS={count}, or make the topics anew")


def replication(name: str, copies: int, brokers: int, settings: Settings) -> Finding:
    """Whether there are as many copies as `rflow init` was told to make, and enough to lose a broker."""
    wanted = max(settings.replication, min(3, brokers))
    return judged(
        f"topic {name} replication",
        copies >= wanted,
        f"copies: {copies}, brokers: {brokers}",
        f"reassign it to {wanted} copies (kafka-reassign-partitions): with one broker's disk its log goes",
        otherwise=Level.WRONG if copies < settings.replication else Level.RISK,
    )


def _told(admin: AdminClient, settings: Settings, topics: Mapping[str, Topic], brokers: list[int], process: Process) -> Iterator[Finding]:
    """What the settings of topics and brokers say, where the broker tells them."""
    names = {name: ConfigResource(ResourceType.TOPIC, settings.topic_prefix + name) for name in topics}
    own = ConfigResource(ResourceType.BROKER, str(brokers[0]))
    try:
        answers = admin.describe_configs([*names.values(), own], request_timeout=PATIENCE)
        found = {
            resource: {name: str(entry.value) for name, entry in future.result(PATIENCE).items()} for resource, future in answers.items()
        }
    except KafkaException as error:
        yield Finding(
            "kafka settings", Level.RISK, f"not told: {first_line(error)}", "let this user describe configs, to have them looked at"
        )
        return
    described = admin.describe_topics(
        TopicCollection([settings.topic_prefix + name for name in topics]), include_authorized_operations=True, request_timeout=PATIENCE
    )
    for name, topic in topics.items():
        description = described[settings.topic_prefix + name].result(PATIENCE)
        copies = min((len(one.replicas) for one in description.partitions), default=0)
        yield from kept(name, topic, found[names[name]], copies)
        yield rights(name, description, process)
    if protocol_of(settings.kafka) != "plaintext" or beyond(settings, "kafka"):
        yield superuser([described[settings.topic_prefix + name].result(PATIENCE) for name in topics], process)
    yield from broker(found[own], settings)


def kept(name: str, topic: Topic, found: Mapping[str, str], copies: int) -> Iterator[Finding]:
    """Whether a topic's settings are those that `rflow init` gives it, or as safe."""
    insync = int(found["min.insync.replicas"])
    if copies > 1:
        fits = 2 <= insync < copies or (copies == 2 and insync == 2)
        loses = insync < 2
        yield judged(
            f"topic {name} min.insync.replicas",
            fits,
            f"{insync} of {copies} copies",
            f"set it to {max(2, copies - 1)}: "
            + (
                "a record that one broker has acknowledged is lost with that broker"
                if loses
                else "without one broker nothing can be written"
            ),
            otherwise=Level.WRONG if loses or insync > copies else Level.RISK,
        )
    policy = found["cleanup.policy"]
    yield judged(
        f"topic {name} cleanup.policy",
        policy == topic.cleanup_policy,
        policy,
        f"set it to {topic.cleanup_policy}: "
        + ("promotions would be forgotten" if topic.cleanup_policy == "compact" else "records of a log would be taken out of its middle"),
    )
    yield from _retention(name, topic, found)
    most = int(found["max.message.bytes"])
    yield judged(
        f"topic {name} max.message.bytes",
        most >= topic.max_message_bytes,
        most,
        f"set it to {topic.max_message_bytes}: a larger record would hold its shard up for ever",
    )
    if topic.cleanup_policy == "delete":
        stamp = found["message.timestamp.type"]
        yield judged(
            f"topic {name} message.timestamp.type",
            stamp == "LogAppendTime",
            stamp,
            "set it to LogAppendTime: with the producer's time, records of an old day are deleted at once",
            otherwise=Level.RISK,
        )


def _retention(name: str, topic: Topic, found: Mapping[str, str]) -> Iterator[Finding]:
    ms, size = int(found["retention.ms"]), int(found["retention.bytes"])
    if topic.cleanup_policy == "compact":
        return
    days = "for ever" if ms < 0 else f"{ms / 86_400_000:g} days"
    yield judged(
        f"topic {name} retention",
        ms < 0 or ms >= topic.retention_ms,
        days,
        f"set retention.ms to {topic.retention_ms}: whoever is away for longer finds a gap, and `rflow check` cannot recompute",
        otherwise=Level.RISK,
    )
    yield judged(
        f"topic {name} retention.bytes",
        size < 0,
        "no bound" if size < 0 else f"{size} bytes a partition",
        "take it away (-1): on a busy day it deletes what is younger than the retention",
        otherwise=Level.RISK,
    )


def rights(name: str, description: TopicDescription, process: Process = Process.WORKER) -> Finding:
    """Whether this user may do with a topic what `process` has to."""
    needed = {right.operation for right in kafka_rights(RIGHTS[process], Names()) if (right.kind, right.name) == ("Topic", name)}
    told = description.authorized_operations
    missing = set() if told is None else {one for one in needed if one.upper() not in _plain(told)}
    return judged(
        f"topic {name} rights",
        not missing,
        f"may not {', '.join(sorted(missing)).lower()}" if missing else f"may {', '.join(sorted(needed)).lower() or 'all that it has to'}",
        f"`rflow rights {process}` prints what gives it",
    )


def superuser(described: list[TopicDescription], process: Process) -> Finding:
    """Whether this user may do what none of rflow's processes has to: it is a superuser, or the brokers ask nobody for rights."""
    told = _plain(operation for topic in described for operation in topic.authorized_operations or ())
    too_much = sorted(told & {"DELETE", "ALTER", "ALTERCONFIGS"})
    return judged(
        "kafka superuser",
        not too_much,
        f"may {', '.join(too_much).lower()}" if too_much else "may not delete or alter topics",
        f"give it a user with what `rflow rights {process}` prints alone, and the brokers an authorizer",
        otherwise=Level.RISK,
    )


def _plain(operations: Iterable[Enum]) -> set[str]:
    return {operation.name.replace("_", "") for operation in operations}


def broker(found: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    """What the broker does by itself."""
    yield judged(
        "kafka auto.create.topics.enable",
        found["auto.create.topics.enable"] == "false",
        found["auto.create.topics.enable"],
        "set it to false on the brokers: a topic made by a typing error has the wrong partitions and retention",
        otherwise=Level.RISK,
    )
    yield judged(
        "kafka unclean.leader.election.enable",
        found["unclean.leader.election.enable"] == "false",
        found["unclean.leader.election.enable"],
        "set it to false: a broker that has missed records could become leader, and they are lost",
    )
    least, most = (int(found.get(f"group.{end}.session.timeout.ms", default)) for end, default in (("min", 0), ("max", 1 << 60)))
    wanted = settings.session_timeout * 1000
    yield judged(
        "kafka session timeouts",
        least <= wanted <= most,
        f"{least} to {most} ms, workers ask for {wanted:g}",
        "set RFLOW_SESSION_TIMEOUT within them, or group.min/max.session.timeout.ms on the brokers: workers could not join",
    )


def _group(admin: AdminClient, settings: Settings) -> Iterator[Finding]:
    """Whether the workers' group has been used by another deployment too: they would take each other's partitions."""
    try:
        answers = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(settings.group)], request_timeout=PATIENCE)
        committed = {one.topic for one in answers[settings.group].result(PATIENCE).topic_partitions}
    except KafkaException:
        return  # no such group yet, or a broker that does not tell
    yield group(committed, settings)


def group(committed: Iterable[str], settings: Settings) -> Finding:
    """Judges by the topics of which a group has committed offsets."""
    own = {settings.topic_prefix + name for name in load_topics()}
    others = sorted(set(committed) - own)
    return judged(
        "kafka group",
        not others,
        f"{settings.group} has read {', '.join(others[:3])}" if others else settings.group,
        "give each deployment a group of its own (RFLOW_GROUP); or delete what an earlier one left: kafka-consumer-groups --delete-offsets",
    )


def _clock(admin: AdminClient, settings: Settings, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Brokers tell no time but in the records that they stamp: none may be of a time to come."""
    asked: dict[TopicPartition, Any] = {
        TopicPartition(settings.topic_prefix + name, partition): OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        for name, count in counts.items()
        for partition in range(count)
    }
    try:
        answers = admin.list_offsets(asked, request_timeout=PATIENCE)
        newest = max((future.result(PATIENCE).timestamp for future in answers.values()), default=-1)
    except KafkaException:
        return
    ahead = newest / 1000 - time.time()
    yield judged(
        "kafka clock",
        ahead <= MOST_SKEW_S,
        f"the newest record is {ahead:.1f} s ahead of this host" if ahead > 0 else "not ahead of this host",
        "see that NTP runs on the brokers and here",
        otherwise=Level.RISK,
    )
