"""The real servers keep what they acknowledged, and the fixtures are what they say."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from redis.cluster import RedisCluster

from deploy.stack.errors import MissingProgramError, StackError
from deploy.stack.kafka import java_program, kafka_jars
from deploy.stack.redis import RedisKind, redis_program
from deploy.stack.servers import StackConfig
from deploy.stack.supervisor import Stack
from tests.servers import Server, Servers, create_topics


def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value=value, partition=0)
    assert producer.flush(30) == 0


def read_all(bootstrap: str, topic: str) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        consumer.assign([TopicPartition(topic, 0, 0)])
        return [message.value() or b"" for message in consumer.consume(end, 20)]
    finally:
        consumer.close()


class TestKafka:
    async def test_a_stack_started_again_on_the_folder_has_the_same_address_and_data(self, tmp_path: Path) -> None:
        config = StackConfig(data=tmp_path, servers=frozenset({"broker"}), broker="kafka")
        async with Stack(config) as stack:
            address = stack.brokers
            await asyncio.to_thread(create_topics, address, ["kept"], 1)
            await asyncio.to_thread(send, address, "kept", [b"1", b"2"])
            stack.kill("broker")
            # The supervisor starts it again; the producer waits for that.
            await asyncio.to_thread(send, address, "kept", [b"3"])
            assert stack.restarts["broker-1"] == 1
        async with Stack(config) as stack:
            assert stack.brokers == address
            assert await asyncio.to_thread(read_all, address, "kept") == [b"1", b"2", b"3"]

    def test_topics_are_made_by_nobody_but_us(self, kafka: str, topic_prefix: str) -> None:
        create_topics(kafka, [f"{topic_prefix}made"], 3, {"max.message.bytes": "2000000"})
        topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
        assert len(topics[f"{topic_prefix}made"].partitions) == 3
        with pytest.raises(KafkaException, match="Unknown"):
            read_all(kafka, f"{topic_prefix}typo")

    def test_records_of_any_time_are_taken(self, kafka: str, topic_prefix: str) -> None:
        topic = f"{topic_prefix}times"
        create_topics(kafka, [topic], 1)
        producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
        errors: list[object] = []
        for time_ms in (946_684_800_000, 4_102_444_800_000):  # the years 2000 and 2100
            producer.produce(topic, value=b"v", partition=0, timestamp=time_ms, on_delivery=lambda error, _message: errors.append(error))
        producer.flush(30)
        assert errors == [None, None]


@pytest.mark.parametrize("kind", ["redis-server", "valkey"])
def test_kill_9_keeps_every_acknowledged_write(servers: Servers, kind: RedisKind) -> None:
    server = servers.redis(kind)
    acknowledged = 0

    def write() -> None:
        nonlocal acknowledged
        with redis.Redis.from_url(server.address, retry=None) as client:
            try:
                while True:
                    with client.pipeline(transaction=True) as step:
                        step.set("version", acknowledged + 1).rpush("log", acknowledged + 1)
                        step.execute()
                    acknowledged += 1
            except (redis.ConnectionError, redis.TimeoutError):
                return

    for _ in range(3):
        before, writer = acknowledged, threading.Thread(target=write)
        writer.start()
        while acknowledged < before + 200:
            time.sleep(0.005)
        server.kill()
        writer.join(10)
        server.start()
        with redis.Redis.from_url(server.address) as client:
            version = int(client.get("version") or 0)
            assert acknowledged <= version <= acknowledged + 1  # the last reply may have been lost
            assert client.llen("log") == version
            acknowledged = version


@pytest.mark.parametrize("kind", ["redis-server", "valkey"])
def test_redis_is_configured_to_forget_nothing(servers: Servers, kind: RedisKind) -> None:
    with redis.Redis.from_url(servers.redis(kind).address, decode_responses=True) as client:
        expected = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": "", "bind": "127.0.0.1"}
        assert {name: client.config_get(name)[name] for name in expected} == expected


def test_the_cluster_serves_every_slot_from_any_node(redis_cluster: str, key_prefix: str) -> None:
    with RedisCluster.from_url(redis_cluster) as client:
        names = [f"{key_prefix}:{{{number}}}:meta" for number in range(50)]
        for name in names:
            client.set(name, name)
        assert [client.get(name).decode() for name in names] == names
        assert len({client.get_node_from_key(name).name for name in names}) == 3


class TestCorners:
    """Two tests of the same database number in a row see nothing of each other."""

    @pytest.mark.parametrize("turn", range(2))
    def test_a_redis_database_is_empty(self, redis_db_url: str, turn: int) -> None:
        with redis.Redis.from_url(redis_db_url) as client:
            assert client.dbsize() == 0
            client.set("k", turn)

    def test_a_clickhouse_database_is_there(self, clickhouse_url: str, database: str) -> None:
        statement = f"SELECT count() FROM system.databases WHERE name = '{database}'"
        with urllib.request.urlopen(urllib.request.Request(clickhouse_url, data=statement.encode()), timeout=30) as answer:
            assert answer.read() == b"1\n"

    def test_a_frozen_server_goes_on_when_thawed(self, servers: Servers) -> None:
        server: Server = servers.redis()
        server.freeze()
        with redis.Redis.from_url(server.address, socket_timeout=0.3, retry=None) as client, pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw()
        with redis.Redis.from_url(server.address) as client:
            assert client.ping()


class TestWhatIsMissingIsNamed:
    def test_java(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(MissingProgramError, match="install Java 17"):
            java_program()

    def test_maven(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(MissingProgramError, match="install Maven"):
            kafka_jars(tmp_path / "jars")

    def test_redis_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(MissingProgramError, match="install Redis 7"):
            redis_program("redis-server")
        assert redis_program("auto").endswith("valkey-server")

    def test_a_download_that_fails_leaves_nothing_and_says_why(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        maven = tmp_path / "bin" / "mvn"
        maven.parent.mkdir()
        maven.write_text("#!/bin/sh\necho no route to host\nexit 1\n")
        maven.chmod(0o755)
        monkeypatch.setenv("PATH", str(maven.parent), prepend=":")
        with pytest.raises(StackError, match="no route to host"):
            kafka_jars(tmp_path / "cache" / "jars")
        assert not list((tmp_path / "cache").iterdir())
