"""Fixtures of the sink's tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from tests.integration.sink_world import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ClickHouse of the module's own."""
    running = Server(tmp_path_factory.mktemp("clickhouse"))
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker with topics of four partitions that appear when they are first asked for; in memory."""
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    address = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    yield f"{address.host}:{address.port}"
    del cluster


@pytest.fixture
def name() -> str:
    """A name nobody else uses, for a database or as a prefix of topics."""
    return f"t{uuid.uuid4().hex[:12]}"
