"""Which of its rights a process has not been given, as Kafka itself tells: before anything fails for want of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from deploy.security.kafka import protocol_of
from deploy.security.render import KafkaRight, Names, kafka_rights
from deploy.security.rights import RIGHTS, Process
from deploy.settings import Settings
from schemas.kafka_client import AdminClient

log = structlog.get_logger(__name__)

_PATIENCE_S = 10.0
_NOT_THERE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND)
_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


class RightMissing(Exception):
    """A process lacks a right; the text names it, and what gives it."""


def names_of(settings: Settings) -> Names:
    """What things are called in this deployment."""
    return Names(
        topic_prefix=settings.topic_prefix,
        group=settings.group,
        redis_prefix=settings.redis_prefix,
        cluster=settings.redis_cluster,
        database=settings.clickhouse_database,
    )


def require_rights(settings: Settings, process: Process) -> None:
    """Raises RightMissing. Asks only where one logs in to Kafka; if it does not answer, nothing is known and nothing raised."""
    if protocol_of(settings.kafka) == "plaintext":
        return
    try:
        missing = missing_rights(AdminClient({**settings.kafka_client(), "log_level": 0}), settings, process)
    except (KafkaException, TimeoutError) as error:
        why = f"{error.args[0].name()} {error.args[0].str()}" if isinstance(error, KafkaException) else "no answer"
        log.warning("Kafka does not tell yet what may be done there", error=why)
        return
    if missing:
        user = settings.kafka_user or "this client"
        raise RightMissing(f"Kafka does not allow {user}: {in_words(missing)}; `rflow rights {process}` prints what gives it")


def in_words(rights: Iterable[KafkaRight]) -> str:
    """Rights in a line: Write on topic transitions, Read on group rflow."""
    return ", ".join(f"{right.operation} on {right.kind.lower()} {right.name}" for right in rights)


def missing_rights(admin: AdminClient, settings: Settings, process: Process) -> list[KafkaRight]:
    """The rights on topics and groups that this client does not have. What is not there is passed over: of a group that nobody has joined
    Kafka tells nothing but that it may be asked for.

    Raises KafkaException if Kafka does not answer.
    """
    wanted = list(kafka_rights(RIGHTS[process], names_of(settings)))
    found = {**_topics(admin, wanted), **_groups(admin, wanted)}
    missing = []
    for right in wanted:
        allowed = found.get((right.kind, right.name))
        if allowed is not None and right.operation.upper() not in allowed:
            missing.append(right)
    return missing


Allowed = dict[tuple[str, str], set[str]]
"""By kind and name the operations that are allowed, in capitals and without underscores."""


def _topics(admin: AdminClient, wanted: list[KafkaRight]) -> Allowed:
    names = sorted({right.name for right in wanted if right.kind == "Topic"})
    if not names:
        return {}
    answers = admin.describe_topics(TopicCollection(names), include_authorized_operations=True, request_timeout=_PATIENCE_S)
    return dict(_told(("Topic", name), answer) for name, answer in _there(answers))


def _groups(admin: AdminClient, wanted: list[KafkaRight]) -> Allowed:
    names = sorted({right.name for right in wanted if right.kind == "Group"})
    if not names:
        return {}
    answers = admin.describe_consumer_groups(names, include_authorized_operations=True, request_timeout=_PATIENCE_S)
    return dict(_told(("Group", name), answer) for name, answer in _there(answers))


def _there(answers: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What Kafka says of each; None where it may not be described, nothing where it is not there."""
    for name, future in answers.items():
        try:
            yield name, future.result(_PATIENCE_S + 1)
        except KafkaException as error:
            if error.args[0].code() in _REFUSED:
                yield name, None
            elif error.args[0].code() not in _NOT_THERE:
                raise


def _told(place: tuple[str, str], answer: Any) -> tuple[tuple[str, str], set[str]]:
    operations = [] if answer is None else answer.authorized_operations or []
    return place, {operation.name.replace("_", "") for operation in operations}
