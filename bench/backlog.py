"""A backlog that appears all at once: produced inside a Kafka transaction, seen by nobody until it is committed.

A worker can so be started, take its shards and be warm before the clock starts, without a producer at work while it runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from bench.load import Event
from sources.kafka_log import KafkaLog, Log

_YIELD_EVERY = 2_000
_TIMEOUT_S = 60.0


class StagedLog(KafkaLog):
    """A KafkaLog whose records are seen when `commit` says so; `begin` comes before the first."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        # Fifteen minutes are the most a broker allows by default. That its coordinator is not up yet is not worth a line.
        settings = {"transactional.id": f"{prefix}backlog", "transaction.timeout.ms": 900_000, "log_level": 3}
        super().__init__(bootstrap, prefix=prefix, settings=settings)

    async def begin(self) -> None:
        """Opens the transaction."""
        await asyncio.to_thread(self._producer.init_transactions, _TIMEOUT_S)
        self._producer.begin_transaction()

    async def commit(self) -> float:
        """Lets everybody see what was sent. The instant at which it was asked for, on the monotonic clock."""
        began = time.monotonic()
        await asyncio.to_thread(self._producer.commit_transaction, _TIMEOUT_S)
        return began


def open_log(bootstrap: str, prefix: str) -> KafkaLog:
    """A log that is seen at once. librdkafka tells errors alone."""
    return KafkaLog(bootstrap, prefix=prefix, settings={"log_level": 3})


async def produce(log: KafkaLog, events: Iterable[Event]) -> int:
    """Produces events as fast as they are taken, and returns how many when Kafka has them all."""
    count = 0
    for kind, partition, key, value in events:
        await log.send(kind, partition, key, value)
        count += 1
        if count % _YIELD_EVERY == 0:
            log.poll()
            await asyncio.sleep(0)
    await log.drained()
    return count


async def produce_at_once(bootstrap: str, prefix: str, events: Iterable[Event]) -> dict[Log, int]:
    """Produces events that are seen at once; the logs' ends."""
    with open_log(bootstrap, prefix) as log:
        await produce(log, events)
        return dict(log.ends)
