"""Fills tables of sums that a new migration brings from the records that an earlier program stored.

The records go through the table's own inlet, some blocks at a time, as the sink would have sent them: each insert is one part, named by a
token, dated at its highest block. How far a table is filled is read back from it, so that a crash costs nothing and two programs at
once do no harm. Only blocks that are done are filled: the sink goes on with one that is not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from clickhouse_connect.driver.client import Client

from sinks.store import INSERT
from sinks.tables import FLOW_SPANS, MOVE_SPANS, ORDER_SPANS, PARTS, SALES_SPANS, Table

log = logging.getLogger("rflow.sink")

FILLED = (FLOW_SPANS, MOVE_SPANS, ORDER_SPANS, SALES_SPANS)
_ONE_PART: dict[str, str | int] = {**INSERT, "max_threads": 1, "max_insert_threads": 1, "max_block_size": 1 << 20}


def backfill(client: Client, carried_out: Callable[[], object], most: int = 50_000) -> None:
    """Fill every table up to the last block that is done, about `most` rows at a time; `carried_out` is called after every insert."""
    done = _number(client, "SELECT max(block) FROM sink_blocks WHERE state = 'done'")
    for source, part in PARTS:
        if part in FILLED:
            for first, last in _missing(client, source, part, done, most):
                _copy(client, source, part, first, last)
                carried_out()
                log.info("%s filled up to block %d of %d", part.name, last, done)


def _missing(client: Client, source: Table, part: Table, done: int, most: int) -> Iterator[tuple[int, int]]:
    top = _number(client, f"SELECT max(block) FROM {part.name}")  # noqa: S608 - one of sinks.tables
    text = f"SELECT block, count() FROM {source.name} WHERE block > {top} AND block <= {done} GROUP BY block ORDER BY block"  # noqa: S608
    return ranges(((int(block), int(rows)) for block, rows in client.query(text).result_rows), most)


def ranges(blocks: Iterable[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    """Blocks, given with their rows in order, taken together to `most` rows; one that has more stands alone."""
    first = last = rows = 0
    for block, size in blocks:
        if rows and rows + size > most:
            yield first, last
            rows = 0
        first = block if not rows else first
        last, rows = block, rows + size
    if rows:
        yield first, last


def _copy(client: Client, source: Table, part: Table, first: int, last: int) -> None:
    if _number(client, f"SELECT max(block) FROM {part.name}") >= last:  # noqa: S608 - one of sinks.tables
        return
    names = ", ".join(name for name, _ in part.columns)
    client.command(
        f"INSERT INTO {part.inlet} (block, {names}) SELECT {last}, {names} FROM {source.name}"  # noqa: S608 - of sinks.tables
        f" WHERE block >= {first} AND block <= {last}",
        settings={**_ONE_PART, "insert_deduplication_token": f"{part.name}:{last}:filled"},
    )


def _number(client: Client, text: str) -> int:
    return int(client.query(text).result_rows[0][0])
