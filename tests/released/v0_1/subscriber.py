"""A subscriber that stores every transition exactly once, to be copied. It needs confluent-kafka alone.

    python examples/subscriber.py --bootstrap localhost:9092 --database transitions.db

rflow may repeat records after a crash, in order. The rule that drops repeats: within a partition, take a record only if its
(version, index) is greater than that of the last one taken. The position is stored with the data, in one transaction; so a
subscriber that is killed at any moment goes on where its data ends, and Kafka's own committed offsets are not needed.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

TABLES = """
CREATE TABLE IF NOT EXISTS position (kafka_partition INTEGER PRIMARY KEY, version INTEGER, place INTEGER, next_offset INTEGER);
CREATE TABLE IF NOT EXISTS transitions (id TEXT, brand TEXT, user_id TEXT, left_layer TEXT, entered_layer TEXT, effective_at TEXT);
"""

TAKE_IF_NEW = """
INSERT INTO position VALUES (:partition, :version, :index, :offset + 1)
ON CONFLICT (kafka_partition) DO UPDATE SET version = :version, place = :index, next_offset = :offset + 1
WHERE (:version, :index) > (version, place)
"""

KEEP = "INSERT INTO transitions VALUES (:id, :brand, :user_id, :from, :to, :effective_at)"


def store(database: sqlite3.Connection, messages: Iterable[Message]) -> int:
    """Stores the new ones among the records with the position they lead to, all or nothing; how many were new."""
    new = 0
    with database:
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            record = json.loads(message.value() or b"")
            position = {"partition": message.partition(), "offset": message.offset()}
            if database.execute(TAKE_IF_NEW, record | position).rowcount == 1:
                database.execute(KEEP, record)
                new += 1
    return new


def resume(consumer: Consumer, topic: str, database: sqlite3.Connection) -> None:
    """Takes every partition from where the data ends, those never read from their beginning."""
    ends = dict(database.execute("SELECT kafka_partition, next_offset FROM position"))
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, ends.get(partition, OFFSET_BEGINNING)) for partition in partitions])


def main() -> None:
    """Follows the topic until interrupted, or until nothing has come for a while."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap", default="localhost:9092")
    options.add_argument("--topic", default="transitions")
    options.add_argument("--database", default="transitions.db")
    options.add_argument("--stop-after", type=float, metavar="SECONDS", help="stop when nothing has come for so long")
    chosen = options.parse_args()

    settings = {"bootstrap.servers": chosen.bootstrap, "group.id": "example-subscriber", "enable.auto.commit": False}
    consumer = Consumer(settings)
    with closing(sqlite3.connect(chosen.database)) as database, closing(consumer), suppress(KeyboardInterrupt):
        database.executescript(TABLES)
        resume(consumer, chosen.topic, database)
        last = time.monotonic()
        while chosen.stop_after is None or time.monotonic() - last < chosen.stop_after:
            messages = consumer.consume(500, timeout=0.5)
            if messages:
                new = store(database, messages)
                print(f"{new} stored, {len(messages) - new} dropped as repeats", flush=True)
                last = time.monotonic()


if __name__ == "__main__":
    main()
