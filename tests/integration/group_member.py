"""A consumer of a group as a process of its own, to be killed: `python -m tests.integration.group_member BOOTSTRAP GROUP TOPIC`.

Prints `assigned P P ...` after each rebalance and `got PARTITION VALUE` for each record, which it then commits.
"""

from __future__ import annotations

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition


class Teller(ConsumerRebalanceListener):  # type: ignore[misc]
    """Prints assignments."""

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing to save: every record is committed."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Print the partitions."""
        print("assigned", *sorted(partition.partition for partition in assigned), flush=True)


async def main(bootstrap: str, group: str, topic: str) -> None:
    """Consume until killed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=500,
        fetch_max_wait_ms=50,
    )
    consumer.subscribe([topic], listener=Teller())
    await consumer.start()
    try:
        async for record in consumer:
            print("got", record.partition, record.value.decode(), flush=True)
            await consumer.commit({TopicPartition(topic, record.partition): record.offset + 1})
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
