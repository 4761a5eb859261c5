"""Kafka and Redis: whether Redis knows every step that has been published."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from deploy.check import StateReader
from deploy.doctor.finding import Finding, judged
from deploy.settings import Settings
from streams.errors import StateUnreadable
from streams.takeover import LogInspector


def look(settings: Settings) -> Iterator[Finding]:
    """Says nothing where one of the two does not answer: others do."""
    try:
        published = asyncio.run(_published(settings))  # first: workers may be at work
        with closing(StateReader(settings)) as states:
            known = [states.meta(shard).version for shard in range(settings.partitions)]
    except (KafkaException, RedisError, OSError, StateUnreadable):
        return
    yield standing(known, published)


async def _published(settings: Settings) -> list[int]:
    inspector = LogInspector(settings.kafka_client(), settings.topic_prefix, topic_ids=settings.topic_ids)
    try:
        return [await inspector.published(shard) for shard in range(settings.partitions)]
    finally:
        inspector.close()


def standing(known: Sequence[int], published: Sequence[int]) -> Finding:
    """Each shard's last version in Redis against the last on its output topics."""
    behind = {shard: last - version for shard, (version, last) in enumerate(zip(known, published, strict=True)) if last > version}
    return judged(
        "kafka and redis",
        not behind,
        f"shards {list(behind)} lack up to {max(behind.values())} steps that are published" if behind else "fit together",
        "Redis was emptied or restored: bring the right one back, or restore ClickHouse to before it and run rflow restored (BACKUP.md)",
    )
