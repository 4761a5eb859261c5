"""Fills tables of sums that a new migration brings from the records that an earlier program stored.

The records go through the table's own inlet, some blocks at a time, as the sink would have sent them: each insert is one part, named by a
token, dated at its highest block. How far a table is filled is read back from it, so that a crash costs nothing and two programs at
once do no harm. Only blocks that are done are filled: the sink goes on with one that is not.

What records of an earlier program do not tell is looked up in the records before them: under which labels a user stood in the layer left,
and what had brought a buyer to theirs. Transitions that came since without the former are told again as the sink starts next.
"""

# ruff: noqa: S608 - text put together from the names in sinks.tables and numbers
from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from sinks.store import INSERT
from sinks.tables import (
    CELL_SPANS,
    FLOW_SPANS,
    HEAD_SPANS,
    MOVE_SAMPLE,
    MOVE_SPANS,
    ORDER_SAMPLE,
    ORDER_SPANS,
    PARTS,
    PURCHASE_SPANS,
    SAMPLED_ONE_IN,
    SAMPLES,
    SHOP_FLOW_SPANS,
    Table,
)

log = logging.getLogger("rflow.sink")

FILLED = (FLOW_SPANS, MOVE_SPANS, SHOP_FLOW_SPANS, HEAD_SPANS, MOVE_SAMPLE, ORDER_SPANS, CELL_SPANS, PURCHASE_SPANS, ORDER_SAMPLE)
_ONE_PART: dict[str, str | int] = {**INSERT, "max_threads": 1, "max_insert_threads": 1, "max_block_size": 1 << 20}
_LOOKED_UP = 10
"""How many times as many rows at a time go into a table for which others are looked up: that reads through all records each time."""

_BLOCKS = "block >= {first} AND block <= {last}"
_USERS = "(brand, user_id) IN (SELECT brand, user_id FROM {source} WHERE {rows})"

_LEFT = f"""
SELECT t.*, f.channel AS was_channel, f.campaign_id AS was_campaign_id, f.store_id AS was_store_id, f.guide_id AS was_guide_id,
    t.former_known OR t.seq = 1 AS is_told, is_told OR f.follows = t.seq AS is_known
FROM (SELECT * FROM transitions WHERE {{rows}}) AS t
LEFT JOIN
(
    SELECT brand, user_id, seq + 1 AS follows, channel, campaign_id, store_id, guide_id FROM transitions
    WHERE {_USERS.format(source="transitions", rows="{rows}")}
) AS f ON t.brand = f.brand AND t.user_id = f.user_id AND t.seq = f.follows
"""
"""Transitions, each with the labels of its user's one before."""

_BROUGHT = f"""
SELECT o.*, o.layer_channel != '' OR o.layer_store_id != '' AS is_told, tupleElement(arrayLast(
    m -> m.2 != o.event_id AND if(m.3 = o.shard, m.4 < o.version OR m.4 = o.version AND m.5 <= o.occurred_at, m.5 <= o.occurred_at),
    b.moves) AS move, 6) AS was_channel, tupleElement(move, 7) AS was_store_id
FROM (SELECT * FROM orders WHERE {{rows}}) AS o
LEFT JOIN
(
    SELECT brand, user_id,
        arraySort(groupArray((seq, cause_event_id, shard, version, occurred_at, toString(channel), toString(store_id)))) AS moves
    FROM transitions
    WHERE {_USERS.format(source="orders", rows="{rows}")}
    GROUP BY brand, user_id
) AS b ON o.brand = b.brand AND o.user_id = b.user_id
"""
"""Orders, each with the labels of its user's last transition before it: in the same step, of those not after it; never of its own."""


class Source(NamedTuple):
    """What a table is filled from, `{rows}` in place of the condition, and how a column is told that is not just copied."""

    text: str
    told: dict[str, str]


_SOURCES = {
    HEAD_SPANS.name: Source(
        _LEFT,
        {
            **{f"former_{name}": f"if(is_told, former_{name}, was_{name})" for name in ("channel", "campaign_id", "store_id", "guide_id")},
            "former_known": "is_known",
        },
    ),
    CELL_SPANS.name: Source(_BROUGHT, {f"layer_{name}": f"if(is_told, layer_{name}, was_{name})" for name in ("channel", "store_id")}),
    **{
        part.name: Source(f"SELECT * FROM {source.name} WHERE {{rows}} AND xxh3(user_id) % {SAMPLED_ONE_IN} = 0", {})
        for source, part in PARTS
        if part in SAMPLES
    },
}


def backfill(client: Client, carried_out: Callable[[], object], most: int = 50_000) -> None:
    """Fill every table up to the last block that is done, about `most` rows at a time; `carried_out` is called after every insert."""
    done = _number(client, "SELECT max(block) FROM sink_blocks WHERE state = 'done'")
    for source, part in PARTS:
        if part in FILLED:
            at_once = most * _LOOKED_UP if part in (HEAD_SPANS, CELL_SPANS) else most
            for first, last in _missing(client, source, part, done, at_once):
                _copy(client, source, part, first, last)
                carried_out()
                log.info("%s filled up to block %d of %d", part.name, last, done)
    _tell_what_was_left(client, done)
    carried_out()


def _missing(client: Client, source: Table, part: Table, done: int, most: int) -> Iterator[tuple[int, int]]:
    top = _number(client, f"SELECT max(block) FROM {part.name}")
    text = f"SELECT block, count() FROM {source.name} WHERE block > {top} AND block <= {done} GROUP BY block ORDER BY block"
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
    if _number(client, f"SELECT max(block) FROM {part.name}") >= last:
        return
    others = {"told": "'filled'"} if part is HEAD_SPANS else {}
    _insert(client, source, part, _BLOCKS.format(first=first, last=last), last, f"{part.name}:{last}:filled", others)


def _tell_what_was_left(client: Client, done: int) -> None:
    """Tell of transitions that came without it which labels their users had, as far as the records before them are there."""
    top = _number(client, "SELECT max(block) FROM head_spans WHERE dimension = 'filled'")
    rows = f"block > {top} AND block <= {done} AND NOT former_known AND seq > 1"
    last = _number(client, f"SELECT max(block) FROM transitions WHERE {rows}")
    if last:
        _insert(client, *_HEADS, rows, last, f"head_spans:{top}:left", {"told": "'left'"}, kept="WHERE is_known")
        log.info("head_spans: told what was left of transitions up to block %d", last)


_HEADS = next((source, part) for source, part in PARTS if part is HEAD_SPANS)


def _insert(client: Client, source: Table, part: Table, rows: str, last: int, token: str, others: dict[str, str], kept: str = "") -> None:
    text, told = _SOURCES.get(part.name, Source(f"SELECT * FROM {source.name} WHERE {{rows}}", {}))
    columns = {name: told.get(name, name) for name, _ in part.columns} | others
    values = ", ".join(f"{value} AS new_{name}" for name, value in columns.items())
    client.command(
        f"INSERT INTO {part.inlet} (block, {', '.join(columns)}) SELECT {last}, {values} FROM ({text.format(rows=rows)}) {kept}",
        settings={**_ONE_PART, "insert_deduplication_token": token},
    )


def _number(client: Client, text: str) -> int:
    return int(client.query(text).result_rows[0][0])
