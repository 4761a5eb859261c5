"""The sink's statements to ClickHouse. Each method is one statement, idempotent, and raises StoreAway or StoreError."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.client import Client

from sinks.blocks import Plan, TableBlock
from sinks.client import Rows, connect, told_apart
from sinks.config import ClickHouse
from sinks.decision import Lane, Mark, Range, Stream
from sinks.tables import Table
from streams.forgotten import Forgotten

_SLOTS = 1024
_INTENT = "intent"
_DONE = "done"

_BLOCK_COLUMNS: dict[str, str] = {
    "slot": "UInt16",
    "state": "Enum8('intent' = 1, 'done' = 2)",
    "stream": "String",
    "partition": "UInt32",
    "block": "UInt64",
    "start_offset": "Int64",
    "start_version": "Int64",
    "start_index": "Int64",
    "start_whole": "Bool",
    "end_offset": "Int64",
    "end_version": "Int64",
    "end_index": "Int64",
    "end_whole": "Bool",
    "records": "UInt64",
    "sink": "String",
}

INSERT: dict[str, str | int] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "wait_end_of_query": 1,
    # a block is one part of its table: there whole or not at all
    "min_insert_block_size_rows": 1_048_449,
    "min_insert_block_size_bytes": 1 << 30,
}


@dataclass(frozen=True, slots=True)
class LastBlock:
    """The last block that ClickHouse knows of; `author` is the sink that wrote its intent, None if there is none."""

    plan: Plan
    done: bool
    author: str | None


class Store:
    """What the sink does to a database whose tables are there (`sinks.migrate`)."""

    def __init__(self, config: ClickHouse) -> None:
        self._config = config
        self._client: Client | None = None

    def client(self) -> Client:
        """The connection, made when it is first needed."""
        if self._client is None:
            self._client = connect(self._config, self._config.database)
        return self._client

    def reconnect(self) -> None:
        """Drop the connection; the next statement makes a new one."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    def last_block(self) -> LastBlock | None:
        """The block with the highest number, None if there was none."""
        rows = self._query(
            "SELECT state, stream, partition, start_offset, start_version, start_index, start_whole, end_offset, end_version, end_index,"
            " end_whole, records, sink, block FROM sink_blocks FINAL WHERE block = (SELECT max(block) FROM sink_blocks)"
        )
        if not rows:
            return None
        intents = [row for row in rows if row[0] == _INTENT]
        ranges = {Lane(Stream(row[1]), row[2]): Range(Mark(*row[3:7]), Mark(*row[7:11]), row[11]) for row in intents}
        return LastBlock(
            plan=Plan(rows[0][13], ranges),
            done=len(intents) < len(rows),
            author=intents[0][12] if intents else None,
        )

    def write_intent(self, plan: Plan, sink: str, attempt: int) -> None:
        """Propose `plan` for its block. Only the first proposal of an attempt is kept; read back whose it is."""
        rows = [
            (plan.block % _SLOTS, _INTENT, lane.stream.value, lane.partition, plan.block, *astuple(start), *astuple(end), records, sink)
            for lane, (start, end, records) in plan.ranges.items()
        ]
        self._write_blocks(rows, f"intent:{plan.block}:{attempt}")

    def write_done(self, block: int, sink: str) -> None:
        """Mark that all rows of the block are stored."""
        none = (0, -1, -1, True)
        self._write_blocks([(block % _SLOTS, _DONE, "", 0, block, *none, *none, 0, sink)], f"done:{block}")

    def insert(self, table_block: TableBlock, block: int, attempt: int) -> None:
        """Insert a block's rows of one table, whole; a repeated attempt is dropped by the server."""
        with told_apart():
            self.client().insert(
                table_block.table.inlet,
                table_block.columns,
                column_names=table_block.table.column_names,
                column_types=table_block.table.column_types,
                column_oriented=True,
                settings={**INSERT, "insert_deduplication_token": table_block.token(block, attempt)},
            )

    def highest_block(self, table: Table, block: int) -> int:
        """`block` or higher if the table holds a row of such a one, else 0."""
        text = f"SELECT block FROM {table.name} WHERE block >= {{block:UInt64}} LIMIT 1"  # noqa: S608 - one of sinks.tables
        rows = self._query(text, {"block": block})
        return int(rows[0][0]) if rows else 0

    def versions(self, table: Table) -> dict[int, int]:
        """By shard the highest version that a table has."""
        return dict(self._query(f"SELECT shard, max(version) FROM {table.name} GROUP BY shard"))  # noqa: S608 - one of sinks.tables

    def forgotten(self) -> dict[int, list[Forgotten]]:
        """By shard the steps that a restored Redis does not know."""
        found: defaultdict[int, list[Forgotten]] = defaultdict(list)
        for shard, above, up_to in self._query(
            "SELECT shard, above, max(up_to) FROM forgotten GROUP BY shard, above ORDER BY shard, above"
        ):
            found[shard].append(Forgotten(above, up_to))
        return dict(found)

    def forget(self, steps: Mapping[int, Sequence[Forgotten]]) -> None:
        """Note, by shard, the steps to be passed over; those that are known already stay."""
        rows = [(shard, *one) for shard, ranges in steps.items() for one in ranges]
        with told_apart():
            self.client().insert(
                "forgotten", rows, column_names=["shard", "above", "up_to"], settings={"async_insert": 0, "wait_end_of_query": 1}
            )

    def _write_blocks(self, rows: Rows, token: str) -> None:
        with told_apart():
            self.client().insert(
                "sink_blocks",
                list(zip(*rows, strict=True)),
                column_names=list(_BLOCK_COLUMNS),
                column_types=[get_from_name(type_) for type_ in _BLOCK_COLUMNS.values()],
                column_oriented=True,
                settings={**INSERT, "insert_deduplication_token": token},
            )

    def _query(self, text: str, parameters: dict[str, int] | None = None) -> Rows:
        with told_apart():
            return [tuple(row) for row in self.client().query(text, parameters=parameters).result_rows]
