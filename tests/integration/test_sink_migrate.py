"""Setting a database up can be repeated, and refuses one that was set up otherwise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import clickhouse_connect
import msgspec
import pytest

from schemas.ladder_file import load_ladder
from sinks.config import ClickHouse
from sinks.errors import StoreAway, StoreError
from sinks.migrate import migrate, migrations
from tests.integration.sink_world import query

LADDER = load_ladder("5r")
LAYERS = "SELECT layer FROM current_layers"


@pytest.fixture
def clickhouse(clickhouse_url: str, database: str) -> ClickHouse:
    return ClickHouse(url=clickhouse_url, database=database)


def test_each_is_applied_once(clickhouse: ClickHouse) -> None:
    assert migrate(clickhouse, LADDER, 4) == migrations()
    assert migrate(clickhouse, LADDER, 4) == []
    assert query(clickhouse, "SELECT count() FROM migrations FINAL") == [(len(migrations()),)]
    assert query(clickhouse, "SELECT count() FROM layers") == [(6,)]


def test_two_at_once_do_no_harm(clickhouse: ClickHouse) -> None:
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(migrate, clickhouse, LADDER, 4) for _ in range(2)]:
            done.result()
    assert [row[0] for row in query(clickhouse, LAYERS)] == ["R0", "R1", "R2", "R3", "R4", "R5"]
    assert query(clickhouse, "SELECT DISTINCT shard FROM shards ORDER BY shard") == [(0,), (1,), (2,), (3,)]


def test_the_ladder_deployed_last_is_in_force(clickhouse: ClickHouse) -> None:
    for ladder, lowest in ((LADDER, "R0"), (load_ladder("aipl"), "O"), (LADDER, "R0")):
        migrate(clickhouse, ladder, 1)
        assert query(clickhouse, LAYERS)[0] == (lowest,)
    migrate(clickhouse, msgspec.structs.replace(LADDER, layers=LADDER.layers[:4]), 1)
    assert query(clickhouse, LAYERS) == [("R0",), ("R1",), ("R2",), ("R3",)]


def test_more_partitions_are_taken_and_fewer_refused(clickhouse: ClickHouse) -> None:
    migrate(clickhouse, LADDER, 2)
    migrate(clickhouse, LADDER, 3)
    assert query(clickhouse, "SELECT uniqExact(shard) FROM shards") == [(3,)]
    with pytest.raises(StoreError, match="holds shard 2, expected shards 0 to 1"):
        migrate(clickhouse, LADDER, 2)


def test_a_changed_or_newer_migration_is_refused(clickhouse: ClickHouse) -> None:
    migrate(clickhouse, LADDER, 1)
    _command(clickhouse, "INSERT INTO migrations (number, name, checksum) VALUES (99, 'later', 'x')")
    with pytest.raises(StoreError, match="has migration 99"):
        migrate(clickhouse, LADDER, 1)
    _command(clickhouse, "TRUNCATE TABLE migrations")
    _command(clickhouse, "INSERT INTO migrations (number, name, checksum) VALUES (1, 'blocks', 'abc')")
    with pytest.raises(StoreError, match=r"migration 1 \(blocks\) was applied with another text"):
        migrate(clickhouse, LADDER, 1)


def test_nobody_there_is_told_from_somebody_who_refuses(clickhouse: ClickHouse) -> None:
    with pytest.raises(StoreAway, match="does not answer"):
        migrate(ClickHouse(url="http://127.0.0.1:9", database="d"), LADDER, 1)
    migrate(clickhouse, LADDER, 1)
    _command(clickhouse, "DROP TABLE shards")
    with pytest.raises(StoreError, match=r"refuses.*shards"):
        migrate(clickhouse, LADDER, 1)


def _command(clickhouse: ClickHouse, statement: str) -> None:
    client = clickhouse_connect.get_client(dsn=clickhouse.url, database=clickhouse.database)
    client.command(statement)
    client.close()
