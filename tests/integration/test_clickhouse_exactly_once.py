"""Deduplication tokens at the embedded ClickHouse: in the table and behind its views, whatever moment it is killed at."""

from __future__ import annotations

import random
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.integration.clickhouse_endpoint import WINDOW, Endpoint, create_events, events, insert


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path_factory.mktemp("clickhouse"))
    endpoint.start()
    yield endpoint
    assert endpoint.stop()[0] == 0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path)
    yield endpoint
    if endpoint.process is not None and endpoint.process.poll() is None:
        endpoint.kill()


@pytest.fixture
def client(shared: Endpoint) -> Iterator[Client]:
    """A client of a database of the test's own."""
    database = f"test_{uuid.uuid4().hex}"
    with shared.client() as first:
        first.command(f"CREATE DATABASE `{database}`")
    with shared.client(database=database) as client:
        yield client


def create_flow(client: Client) -> None:
    """A table with two views behind it, all of them with a window of tokens."""
    create_events(client)
    client.command(f"CREATE TABLE minutes (minute DateTime('UTC'), n UInt64) ENGINE = SummingMergeTree ORDER BY minute {WINDOW}")
    client.command(
        "CREATE TABLE channels (channel LowCardinality(String), total SimpleAggregateFunction(sum, UInt64),"
        f" tags AggregateFunction(uniqExact, Int64)) ENGINE = AggregatingMergeTree ORDER BY channel {WINDOW}"
    )
    client.command(
        "CREATE MATERIALIZED VIEW to_minutes TO minutes AS SELECT toStartOfMinute(at) AS minute, count() AS n FROM events GROUP BY minute"
    )
    client.command(
        "CREATE MATERIALIZED VIEW to_channels TO channels AS"
        " SELECT channel, count() AS total, uniqExactState(delta) AS tags FROM events GROUP BY channel"
    )


def flow_counts(client: Client) -> tuple[int, ...]:
    row = client.query("SELECT (SELECT count() FROM events), (SELECT sum(n) FROM minutes), (SELECT sum(total) FROM channels)").result_rows[
        0
    ]
    return tuple(int(number) for number in row)


def insert_once(client: Client, rows: list[list[Any]], token: str) -> None:
    insert(client, rows, insert_deduplication_token=token, deduplicate_blocks_in_dependent_materialized_views=1, async_insert=0)


def test_a_token_is_stored_once_in_the_table_and_behind_its_views(client: Client) -> None:
    create_flow(client)
    for _ in range(3):
        insert_once(client, events(500), "0:1-9")
    assert flow_counts(client) == (500, 500, 500)
    assert client.query("SELECT uniqExactMerge(tags) FROM channels").result_rows == [(500,)]
    insert_once(client, events(500), "0:10-19")
    assert flow_counts(client) == (1000, 1000, 1000)


def test_a_token_outlives_kill_and_restart(own: Endpoint) -> None:
    own.start()
    with own.client() as client:
        create_flow(client)
        insert_once(client, events(500), "0:1-9")
    own.kill()
    own.start()
    with own.client() as client:
        assert flow_counts(client) == (500, 500, 500)
        insert_once(client, events(500), "0:1-9")
        assert flow_counts(client) == (500, 500, 500)
        insert_once(client, events(100, seed=2), "0:10-11")
        assert flow_counts(client) == (600, 600, 600)


@pytest.mark.parametrize("lost", [{"events", "minutes", "channels"}, {"minutes", "channels"}, {"channels"}])
def test_an_insert_that_was_killed_between_its_token_and_its_part_can_be_sent_again(own: Endpoint, lost: set[str]) -> None:
    own.start()
    with own.client() as client:
        create_flow(client)
        insert_once(client, events(50), "0:1")
        insert_once(client, events(70, seed=2), "0:2")
        parts = client.query("SELECT table, path FROM system.parts WHERE active AND max_block_number = 2").result_rows
    assert len(parts) == 3
    own.kill()
    for table, path in parts:
        if table in lost:  # what the engine would have named last
            shutil.rmtree(path)
    own.start()
    with own.client() as client:
        for _ in range(2):
            insert_once(client, events(70, seed=2), "0:2")
            insert_once(client, events(50), "0:1")
        assert flow_counts(client) == (120, 120, 120)


def test_killed_at_any_moment_nothing_is_lost_or_doubled(own: Endpoint) -> None:
    own.start()
    with own.client() as client:
        create_flow(client)
    stored: list[int] = []
    done = threading.Event()

    def send() -> None:
        """Blocks in order; each is sent until it is acknowledged."""
        while not done.is_set():
            with suppress(ClickHouseError, OSError), own.client(query_retries=0) as client:
                while not done.is_set():
                    number = len(stored)
                    insert_once(client, events(100 + number % 50, seed=number), f"0:{number}")
                    stored.append(100 + number % 50)
            time.sleep(0.02)

    sender = threading.Thread(target=send)
    sender.start()
    chance = random.Random(7)
    for _ in range(5):
        time.sleep(chance.uniform(0.2, 0.8))
        own.kill()
        own.start()
    done.set()
    sender.join()
    with own.client() as client:
        last = len(stored)  # the kill may have cut it off with some of its parts stored
        insert_once(client, events(100 + last % 50, seed=last), f"0:{last}")
        assert flow_counts(client) == (sum(stored) + 100 + last % 50,) * 3
    assert len(stored) > 5


def test_without_a_token_equal_blocks_are_taken_for_one(client: Client) -> None:
    """A trap of the window, the same on a server: rows that may repeat need tokens, or an id of their own."""
    create_events(client)
    insert(client, events(10))
    insert(client, events(10))
    assert client.command("SELECT count() FROM events") == 10
