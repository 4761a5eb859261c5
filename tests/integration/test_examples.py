"""The examples a stranger would copy, run as a stranger would run them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.touchpoint import KINDS, Kind, Touchpoint
from schemas.transition import Transition
from schemas.validate import Validator
from tests.released import keep
from tests.unit.schemas.example_files import SCHEMAS

EXAMPLES = SCHEMAS.parent / "examples"
RELEASED = sorted(path for path in Path(keep.__file__).parent.glob("v*_*") if path.is_dir())
TOPIC = "example-transitions"
PARTITIONS = (0, 1)
STEPS = 400
TEMPLATE = msgspec.json.decode((SCHEMAS / "examples" / "transitions" / "valid" / "advance.json").read_bytes(), type=Transition)


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """The address of a broker in this process."""
    producer = Producer({"test.mock.num.brokers": 1, "topic.metadata.refresh.interval.ms": 100, "log_level": 0})
    (metadata,) = producer.list_topics().brokers.values()
    yield f"{metadata.host}:{metadata.port}"
    producer.flush(1)


def command(example: str, *arguments: str, folder: Path = EXAMPLES) -> list[str]:
    return [sys.executable, str(folder / example), *arguments]


def read(broker: str, topic: str) -> list[Message]:
    """Every record of a topic."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "test", "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    ends = sum(consumer.get_watermark_offsets(TopicPartition(topic, partition))[1] for partition in partitions)
    found: list[Message] = []
    deadline = time.monotonic() + 20
    while len(found) < ends and time.monotonic() < deadline:
        found += consumer.consume(ends - len(found), timeout=1)
    consumer.close()
    return found


@pytest.mark.parametrize("folder", [EXAMPLES, *RELEASED], ids=lambda folder: folder.name)
def test_the_producer_sends_valid_touchpoints_to_their_users_partitions(broker: str, folder: Path) -> None:
    prefix, users = f"producer.{folder.name}.", 25
    run = command("producer.py", "--bootstrap", broker, "--users", str(users), "--topic-prefix", prefix, folder=folder)
    subprocess.run(run, check=True, timeout=60)
    validator = Validator(load_ladder("5r"), lambda: time.time_ns() // 1_000_000)
    seen: Counter[Kind] = Counter()
    for kind in KINDS:
        messages = read(broker, prefix + kind.topic)
        partitions = len({message.partition() for message in messages})
        assert partitions > 1
        for message in messages:
            touchpoint = validator.validate(kind, message.value())
            assert isinstance(touchpoint, Touchpoint)
            assert message.key() == touchpoint.user_id.encode()
            assert message.partition() == partition_of(touchpoint.user_id, 4)
            seen[kind] += 1
    assert seen == dict.fromkeys(KINDS, users)


def test_a_producer_that_reaches_no_broker_says_so() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PATIENCE_OF_A_SECOND, "--bootstrap", "127.0.0.1:1", "--users", "1"],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "0 of 4 touchpoints acknowledged" in ended.stdout
    assert "not delivered to touchpoints.exposure" in ended.stderr


PATIENCE_OF_A_SECOND = "import producer, sys; producer.SETTINGS['message.timeout.ms'] = 1000; sys.exit(producer.main())"


def test_the_subscriber_stores_each_transition_once_although_rflow_and_it_are_killed(broker: str, tmp_path: Path) -> None:
    database = tmp_path / "transitions.db"
    run = command("subscriber.py", "--bootstrap", broker, "--topic", TOPIC, "--database", str(database))

    # rflow's worker is killed twice and its successor tells some steps again, which the log then holds twice.
    log = Log(broker)
    log.tell(0, 150)
    first = subprocess.Popen(run, stdout=subprocess.DEVNULL)
    try:
        wait_for_rows(database, 100)
        log.tell(100, 300)
        wait_for_rows(database, 600)
        first.kill()
    finally:
        first.kill()
        first.wait()
    stored = rows(database)
    assert 0 < len(stored) < len(log.wanted)
    log.tell(180, 250)
    log.tell(200, STEPS)
    told = log.close()
    assert told > len(log.wanted)
    read_to_the_end(run, database, log)
    assert sorted(rows(database)) == sorted(log.wanted)
    subprocess.run([*run, "--stop-after", "1"], check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert len(rows(database)) == len(log.wanted)

    # Who copied the subscriber of an earlier release reads the same log to the same end.
    for release in RELEASED:
        database = tmp_path / f"{release.name}.db"
        run = command("subscriber.py", "--bootstrap", broker, "--topic", TOPIC, "--database", str(database), folder=release)
        read_to_the_end(run, database, log)
        assert sorted(rows(database)) == sorted(log.wanted)


class Log:
    """Two partitions of transitions: step v of each holds v mod 5 of them."""

    def __init__(self, broker: str) -> None:
        self._producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True, "log_level": 0})
        self._told = 0
        self.wanted = [f"{shard}:{v}:{i}" for shard in PARTITIONS for v in range(1, STEPS + 1) for i in range(v % 5)]

    def tell(self, after: int, last: int) -> None:
        """Publishes the steps from `after` + 1 to `last`, whether or not they have been told before."""
        for version in range(after + 1, last + 1):
            for shard in PARTITIONS:
                for index in range(version % 5):
                    record = msgspec.structs.replace(TEMPLATE, id=f"{shard}:{version}:{index}", shard=shard, version=version, index=index)
                    self._producer.produce(TOPIC, msgspec.json.encode(record), partition=shard)
                    self._told += 1
        assert self._producer.flush(20) == 0

    def close(self) -> int:
        """How many records the log holds."""
        return self._told


def rows(database: Path) -> list[str]:
    connection = sqlite3.connect(database, timeout=10)
    try:
        return [row[0] for row in connection.execute("SELECT id FROM transitions")]
    except sqlite3.OperationalError:  # the tables are not there yet
        return []
    finally:
        connection.close()


def read_to_the_end(run: list[str], database: Path, log: Log) -> None:
    """Runs the subscriber until it has as many rows as the log has transitions, and a moment longer, in which it would store too many."""
    subscriber = subprocess.Popen(run, stdout=subprocess.DEVNULL)
    try:
        wait_for_rows(database, len(log.wanted))
        time.sleep(0.5)
    finally:
        subscriber.terminate()
        subscriber.wait()


def wait_for_rows(database: Path, least: int) -> None:
    deadline = time.monotonic() + 30
    while len(rows(database)) < least:
        assert time.monotonic() < deadline, f"expected {least} rows, found {len(rows(database))}"
        time.sleep(0.02)
