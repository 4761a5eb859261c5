"""Whether workers run: what an operator does to the whole state wants none of them."""

from __future__ import annotations

from confluent_kafka import KafkaException

from schemas.kafka_client import AdminClient
from streams.errors import RflowError

_SECONDS = 30.0


def refuse_members(admin: AdminClient, group: str, then: str) -> None:
    """Raises RflowError while the workers' group has members; `then` says when they may be started again."""
    try:
        found = admin.describe_consumer_groups([group], request_timeout=_SECONDS)[group].result()
    except KafkaException as error:
        raise RflowError(
            f"expected Kafka to tell who is in the group {group}, found: {error}. The built-in broker cannot: it is for trying out"
        ) from error
    if found.members:
        raise RflowError(
            f"expected no worker in the group {group}, found {len(found.members)}: stop all of them, and the sink "
            f"(one that was killed is forgotten after session_timeout), and start them {then}"
        )
