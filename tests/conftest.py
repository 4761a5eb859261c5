"""Real servers as fixtures, each started by the first test that asks for it and stopped after the last.

A server is shared, so a test keeps to its own corner of it: `topic_prefix`, `redis_db_url` or `key_prefix`, `database`. A test that
kills or freezes servers starts its own with `servers`. What is not installed fails the tests that need it, and is named.
"""

from __future__ import annotations

import itertools
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from deploy.stack.broker import MockBrokerConfig
from tests.servers import Servers

# How long an example takes says how busy the machine is; performance is measured in bench/.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

_REDIS_DATABASES = 64
_redis_database = itertools.cycle(range(1, _REDIS_DATABASES))

_LONGEST = (
    "test_campaign", "test_complete_journey", "test_sink_exactly_once", "test_worker_crash", "test_ladder_change", "test_takeover",
    "test_network", "test_alerts", "test_warroom_process", "test_reshard", "test_worker", "test_replay", "test_mutations", "test_screen",
    "test_dlq", "test_backlog",
)  # fmt: skip
"""The files that take a minute or more, longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files are dealt to processes in this order: what takes long first, thousands of short tests last, so that all end together."""
    rank = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: (rank.get(item.path.stem, len(rank)), "unit" in item.path.parts))


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers that all tests share."""
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="session")
def kafka(shared_servers: Servers) -> str:
    """Bootstrap address of a real Kafka 4.2 that makes no topics by itself."""
    return shared_servers.kafka().address


@pytest.fixture(scope="session")
def mock_broker(shared_servers: Servers) -> str:
    """Bootstrap address of the in-memory broker; topics appear on first use, with four partitions."""
    return shared_servers.mock_broker(MockBrokerConfig(topics=(), partitions=4)).address


@pytest.fixture(scope="session")
def redis_url(shared_servers: Servers) -> str:
    """A real, durable Redis; its databases are dealt out by `redis_db_url`."""
    return shared_servers.redis(databases=str(_REDIS_DATABASES)).address


@pytest.fixture(scope="session")
def redis_cluster(shared_servers: Servers) -> str:
    """A node of a Redis Cluster of three masters. It has one database: use `key_prefix`."""
    return shared_servers.redis_cluster(3)[0].address


@pytest.fixture(scope="session")
def clickhouse_url(shared_servers: Servers) -> str:
    """The ClickHouse engine behind HTTP; use `database`."""
    return shared_servers.clickhouse().address


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Servers of this test's own, to be killed, frozen and started again."""
    with Servers(tmp_path / "servers") as own:
        yield own


@pytest.fixture
def topic_prefix() -> str:
    """What the names of this test's topics, and of its consumer groups, begin with."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def key_prefix() -> str:
    """What this test's Redis keys begin with."""
    return f"k{uuid.uuid4().hex[:10]}"


@pytest.fixture
def redis_db_url(redis_url: str) -> Iterator[str]:
    """An empty database of the shared Redis."""
    url = f"{redis_url.rpartition('/')[0]}/{next(_redis_database)}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def database(clickhouse_url: str) -> Iterator[str]:
    """The name of an empty ClickHouse database."""
    name = f"t_{uuid.uuid4().hex[:10]}"
    _clickhouse(clickhouse_url, f"CREATE DATABASE {name}")
    yield name
    _clickhouse(clickhouse_url, f"DROP DATABASE IF EXISTS {name}")


def _clickhouse(url: str, statement: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, data=statement.encode()), timeout=30) as answer:
        answer.read()
